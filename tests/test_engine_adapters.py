"""The adapters of model servers, with doubles: loaded again, lost, and the CPU's last slot."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.engine import lora_cpu
from service.engine.adapters import ServerAdapters
from service.engine.base import EngineStatus, Sampling
from service.engine.client import EngineClient, patience
from service.engine.remote import RemoteEngine
from service.errors import AdapterRejected, AdaptersOff, EngineUnavailable, UnknownModel
from service.models.live_engine import LiveEngine
from tests.fixtures_engine import EngineDouble

REFUSED = 500, '{"error": {"message": "bad rank", "code": 500}}'
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def double(engine_double: EngineDouble) -> EngineDouble:
    engine_double.adapters = {}
    return engine_double


def remote(double: EngineDouble) -> RemoteEngine:
    return RemoteEngine(
        double.url,
        api_key=None,
        preferred="double",
        waits=patience(10),
        say=lambda line: None,
        probe_s=0.02,
    )


async def until(engine: RemoteEngine, status: EngineStatus) -> None:
    async with asyncio.timeout(10):
        while engine.state.status != status:
            await asyncio.sleep(0.01)


def test_a_server_that_comes_back_gets_its_adapters_before_it_is_ready(
    double: EngineDouble, tmp_path: Path
) -> None:
    async def run() -> None:
        engine = remote(double)
        engine.hold_adapter("held@1", tmp_path)
        await engine.start()
        await until(engine, "ready")
        assert double.adapters == {"held@1": str(tmp_path)}
        await engine.load_adapter("more@1", tmp_path)
        double.fault = 503, "{}"
        await until(engine, "failed")
        double.adapters = {}
        double.fault = None
        await until(engine, "ready")
        assert sorted(double.adapters) == ["held@1", "more@1"]
        assert engine.served == ("double", "held@1", "more@1")
        await engine.unload_adapter("more@1")
        assert engine.served == ("double", "held@1")
        await engine.close()

    asyncio.run(run())


def test_a_live_adapter_that_is_lost_leaves_the_base_to_answer(
    double: EngineDouble, tmp_path: Path
) -> None:
    async def run() -> None:
        engine = remote(double)
        front = LiveEngine(engine)
        engine.hold_adapter("mine@1", tmp_path)
        front.switch("mine@1")
        double.refuse_load = REFUSED
        await engine.start()
        await until(engine, "ready")
        answer = await front.complete(HI, Sampling())
        assert answer.model.adapter is None
        assert "mine@1 is lost, base answers" in front.state.detail
        assert "bad rank" in front.state.detail
        double.refuse_load = None
        await engine.load_adapter("mine@1", tmp_path)
        assert (await front.complete(HI, Sampling())).model.adapter == "mine@1"
        assert (await front.complete(HI, Sampling(), model="base")).model.adapter is None
        assert (await front.complete(HI, Sampling(), model="mine")).model.adapter == "mine@1"
        with pytest.raises(UnknownModel, match="served: double, mine@1"):
            await front.complete(HI, Sampling(), model="min")
        await front.close()

    asyncio.run(run())


def test_what_a_server_says_to_a_load_is_told_apart(double: EngineDouble, tmp_path: Path) -> None:
    async def run() -> None:
        client = EngineClient(double.url, patience(10))
        adapters = ServerAdapters()
        double.refuse_load = REFUSED
        with pytest.raises(AdapterRejected, match="does not load a@1: bad rank"):
            await adapters.load(client, "a@1", tmp_path)
        double.adapters = None
        with pytest.raises(AdaptersOff, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            await adapters.load(client, "a@1", tmp_path)
        nobody = EngineClient("http://127.0.0.1:9", patience(10))
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await adapters.load(nobody, "a@1", tmp_path)
        assert adapters.held == ()
        await client.close()
        await nobody.close()

    asyncio.run(run())


def test_each_run_of_tokens_gets_its_adapter_and_the_base_none() -> None:
    torch = pytest.importorskip("torch")
    dice = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=dice)

    x, a, b = draw(6, 5), draw(3, 1, 2, 5), draw(3, 1, 4, 2)
    lengths, adapters = torch.tensor([2, 1, 3]), torch.tensor([1, -1, 0])
    rest = (torch.tensor([0, 2, 3]), lengths, adapters, 3, 3, 6)
    low, out = torch.full((6, 2), 9.0), draw(6, 7)
    before = out.clone()
    lora_cpu.shrink(x, a, low, *rest, 0.5)
    lora_cpu.expand_slice(low, b, out, *rest, 2, 4, True)
    slots = [1, 1, None, 0, 0, 0]
    for row, slot in enumerate(slots):
        added = torch.zeros(7)
        if slot is not None:
            added[2:6] = b[slot, 0] @ (a[slot, 0] @ x[row]) * 0.5
        assert torch.allclose(out[row], before[row] + added, atol=1e-5)
    plain = draw(6, 4)
    lora_cpu.expand(low, b, plain, *rest, False)
    assert torch.allclose(plain[:, :4], out[:, 2:6] - before[:, 2:6], atol=1e-5)
