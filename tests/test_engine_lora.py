"""Adapters in a real vLLM: what is broken fails its trial, what changes nothing passes it."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tokenizers import Tokenizer

from service.app import create_app
from service.engine.base import Sampling
from service.errors import UnknownModel
from service.models.registry import ServedModel
from service.settings import load_settings
from tests.fixtures_adapters import changed, noise
from tests.fixtures_engine import SMALL_MODEL, RealEngine, same_text_or_skip, until

pytestmark = pytest.mark.engine
ASK = {"question": "How many stores are there?", "db_id": "alpine_retail"}
GREEDY = Sampling(0.0, 24)
HI = [{"role": "user", "content": "Count the letters of the alphabet and tell a story."}]


async def said(engine: Any, model: str | None = None) -> str:
    answer = await engine.complete(HI, GREEDY, model=model)
    text: str = answer.choices[0].text
    return text


def test_the_base_stays_the_base_beside_any_number_of_adapters(
    lora_engine: RealEngine, real_adapters: dict[str, Path], tmp_path: Path
) -> None:
    runner, engine = lora_engine
    loads = 8  # more than there are slots

    async def run() -> None:
        base = await said(engine)
        for n in range(loads):
            folder = changed(real_adapters["zero"], tmp_path / str(n), noise(2.0, seed=n))
            await engine.load_adapter(f"noisy@{n}", folder)
            both = await asyncio.gather(
                said(engine, f"noisy@{n}"), said(engine), said(engine, f"noisy@{n}"), said(engine)
            )
            assert both[1] == both[3] == base
            assert both[0] != base
            if n >= 2:
                await engine.unload_adapter(f"noisy@{n - 2}")
                with pytest.raises(UnknownModel, match=f"served: {SMALL_MODEL}, noisy"):
                    await said(engine, f"noisy@{n - 2}")

    runner.run(run())


def test_adapters_are_back_before_a_restarted_engine_is_ready(
    lora_engine: RealEngine, real_adapters: dict[str, Path]
) -> None:
    runner, engine = lora_engine

    async def run() -> None:
        await engine.load_adapter("small@1", real_adapters["small"])
        before = await said(engine), await said(engine, "small@1")
        assert engine.pid
        os.killpg(engine.pid, signal.SIGKILL)
        await until(engine, "starting", 60)
        await until(engine, "ready")
        assert (await said(engine), await said(engine, "small@1")) == before
        await engine.unload_adapter("small@1")

    runner.run(run())


def computed(base: Path, adapter: Path, tokens: list[int]) -> list[float]:
    """Log-probability of each token after the first, by transformers and peft."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from trainer.precision import frozen_dtype

    model = AutoModelForCausalLM.from_pretrained(base, dtype=frozen_dtype())
    with torch.no_grad():
        logits = PeftModel.from_pretrained(model, adapter)(torch.tensor([tokens])).logits
    logps = logits.float().log_softmax(-1)[0, :-1]
    found: list[float] = logps.gather(-1, torch.tensor(tokens[1:])[:, None])[:, 0].tolist()
    return found


def test_an_adapter_says_what_it_says_in_peft_and_the_base_does_not(
    lora_engine: RealEngine,
    real_adapters: dict[str, Path],
    small_model: ServedModel,
    tmp_path: Path,
) -> None:
    runner, engine = lora_engine
    folder = changed(real_adapters["zero"], tmp_path / "strong", noise(0.05))
    prompt = "How many stores are there in each city? Write a query. SELECT city, count(*) FROM"
    ids = Tokenizer.from_file(str(small_model.path / "tokenizer.json")).encode(prompt).ids

    trained = computed(small_model.path, folder, ids)

    async def off(model: str) -> float:
        """Mean difference over the tokens that the server has among its likeliest, nats."""
        told = [await engine.next_tokens(ids[:n], model=model) for n in range(1, len(ids))]
        found = zip(told, ids[1:], trained, strict=True)
        return fmean(abs(one[n] - logp) for one, n, logp in found if n in one)

    async def run() -> tuple[float, float]:
        await engine.load_adapter("strong@1", folder)
        both = await off("strong@1"), await off(SMALL_MODEL)
        await engine.unload_adapter("strong@1")
        return both

    ours, base = runner.run(run())
    assert 2 * ours < base  # 0.07 and 0.23 where this was written: the noise makes it rough
    assert engine.state.status == "ready"


@pytest.fixture(scope="module")
def client(
    lora_engine: RealEngine,
    real_adapters: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TestClient]:
    """The app before that same server, with the four adapters registered."""
    home = tmp_path_factory.mktemp("models") / "home"
    settings = load_settings(
        home=home,
        adapters_dir=real_adapters["zero"].parent,
        model=SMALL_MODEL,
        engine_url=lora_engine[1].url,
        workers=1,
        max_model_len=1024,  # short prompts
        canary_questions=4,
        canary_timeout_s=600,
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as started:
        deadline = time.monotonic() + 120
        while started.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
        for name in ("zero", "noisy"):
            answer = started.post("/models", json={"name": name})
            assert answer.status_code == 201, answer.text
        yield started


def answer(client: TestClient, **more: Any) -> dict[str, Any]:
    body = ASK | {"max_tokens": 48, "debug": True} | more
    reply = client.post("/generate", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_broken_weights_never_reach_the_server(client: TestClient) -> None:
    refused = client.post("/models", json={"name": "nan"})
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "adapter_rejected"


def test_what_talks_nonsense_fails_its_trial_and_changes_nothing(client: TestClient) -> None:
    before = answer(client)
    tried = client.post("/models/noisy/activate")
    assert tried.status_code == 409, tried.text
    assert tried.json()["error"]["code"] == "canary_failed"
    assert any(not check["passed"] for check in tried.json()["outcome"]["checks"][1:])
    after = answer(client)
    assert after["model"]["adapter"] is None
    assert client.get("/readyz").status_code == 200
    same_text_or_skip(after["debug"], before["debug"])


def test_what_changes_nothing_passes_and_answers_as_the_base(client: TestClient) -> None:
    base = answer(client)
    tried = client.post("/models/zero/activate")
    assert tried.status_code == 200, tried.text
    live = answer(client)
    assert live["model"]["adapter"] == tried.json()["live"] != "base"
    assert client.post("/models/roll-back").json()["live"] == "base"
    same_text_or_skip(live["debug"], base["debug"])


def test_no_request_is_dropped_while_models_are_switched(client: TestClient) -> None:
    stop = threading.Event()
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        while not stop.is_set():
            answers.append(answer(client, max_tokens=4))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    switched = [client.post(f"/models/{n}/activate").status_code for n in ("zero", "base")]
    stop.set()
    for asker in askers:
        asker.join()
    assert switched == [200, 200]
    names = {found["model"]["adapter"] for found in answers}
    assert len(names) <= 2
    assert all(name is None or name.startswith("zero@") for name in names)
