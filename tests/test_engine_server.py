"""The engine as a child process: a small stand-in for its faults, and the real vLLM."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.engine.base import EngineStatus, Sampling
from service.engine.client import patience
from service.engine.server import LocalEngine
from service.engine.vigil import Vigilance
from service.engine.vllm import VllmOptions
from service.errors import EngineUnavailable, TooLarge
from service.models.registry import ServedModel
from tests.fixtures_engine import eventually_gone, family, until
from tests.test_engine_launch import pids_in

ASK = [{"role": "user", "content": "Say SELECT 1."}]

# What `python -m vllm.entrypoints.openai.api_server` runs in the tests without a model.
SERVES = """
import sys, threading
from tests.fixtures_engine import EngineDouble
with EngineDouble(port=int(sys.argv[sys.argv.index("--port") + 1])):
    threading.Event().wait()
"""
HANGS_AFTER_THE_WARM_UP = """
import sys, threading
from tests.fixtures_engine import EngineDouble
with EngineDouble(port=int(sys.argv[sys.argv.index("--port") + 1])) as double:
    def fault_for(body):
        double.hang = len(double.requests) >= 2
    double.fault_for = fault_for
    threading.Event().wait()
"""
BROKEN = "print('INFO loading'); raise ValueError('no such model')"
SILENT = "import time; time.sleep(60)"
DEAF = """
import signal, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: Path(__file__).with_name("told").touch())
while True:
    time.sleep(1)
"""
SERVES_ONCE_ITS_LOG_IS_GONE = (
    """
import time
from pathlib import Path
while (Path(__file__).parents[3] / "logs" / "engine.log").exists():
    time.sleep(0.02)
time.sleep(1)  # Longer than the pause between two looks at the log.
"""
    + SERVES
)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["StandIn"]:
    """A LocalEngine whose vLLM is a script of a few lines."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[1]}")
    with asyncio.Runner() as runner:
        made = StandIn(tmp_path, runner)
        yield made
        runner.run(made.engine.close())


class StandIn:
    """The engine, the loop it lives on, and what it said."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.folder = folder
        self.runner = runner
        self.says: list[str] = []

    def start(
        self,
        script: str,
        start_timeout_s: float = 60,
        say: Callable[[str], None] | None = None,
        idle_s: float = 60,
    ) -> LocalEngine:
        package = self.folder / "vllm" / "entrypoints" / "openai"
        package.mkdir(parents=True)
        for folder in (package, package.parent, package.parents[1]):
            (folder / "__init__.py").touch()
        (package / "api_server.py").write_text(script)
        self.engine = LocalEngine(
            ServedModel("tiny", "r1", self.folder),
            VllmOptions("cpu", 512, 2**20, self.folder),
            log_path=self.folder / "logs" / "engine.log",
            start_timeout_s=start_timeout_s,
            waits=patience(10),
            say=say or self.says.append,
            vigilance=Vigilance(0.05, silence_s=idle_s, idle_s=idle_s, probe_s=0.3),
            pause_s=0.01,
        )
        self.runner.run(self.engine.start())
        return self.engine

    def wait(self, status: EngineStatus) -> None:
        self.runner.run(until(self.engine, status, 60))


async def there(path: Path) -> None:
    """Wait until a file exists, a minute at most."""
    async with asyncio.timeout(60):
        while not path.exists():
            await asyncio.sleep(0.01)


async def keep_asking(engine: LocalEngine) -> None:
    """Until it fails, a minute at most."""
    async with asyncio.timeout(60):
        while True:
            await engine.complete(ASK, Sampling(max_tokens=1))


async def said(stand_in: "StandIn", words: str) -> None:
    """Wait until the engine has said it, a minute at most."""
    async with asyncio.timeout(60):
        while not any(words in line for line in stand_in.says):
            await asyncio.sleep(0.01)


def test_it_says_how_far_it_is_and_refuses_until_it_is_ready(stand_in: StandIn) -> None:
    engine = stand_in.start(SERVES)
    with pytest.raises(EngineUnavailable, match="not ready") as refused:
        stand_in.runner.run(engine.complete(ASK, Sampling(max_tokens=1)))
    assert refused.value.retry_after_s
    stand_in.wait("ready")
    done = stand_in.runner.run(engine.complete(ASK, Sampling(max_tokens=1)))
    assert done.choices[0].text == "SELECT 1"
    assert stand_in.says[-1].startswith("engine ready: tiny answers on http://127.0.0.1:")


def test_a_killed_server_is_started_again(stand_in: StandIn) -> None:
    engine = stand_in.start(SERVES)
    stand_in.wait("ready")
    first = family(engine)
    first[-1].kill()
    stand_in.wait("starting")
    stand_in.wait("ready")
    assert not {p.pid for p in first} & {p.pid for p in family(engine)}
    assert any("ended with code 137" in line for line in stand_in.says)


def test_a_server_that_hangs_is_started_again_and_its_callers_are_told(stand_in: StandIn) -> None:
    engine = stand_in.start(HANGS_AFTER_THE_WARM_UP, idle_s=0)
    stand_in.wait("ready")
    first = [process.pid for process in family(engine)]
    with pytest.raises(EngineUnavailable) as told:
        stand_in.runner.run(keep_asking(engine))
    assert told.value.retry_after_s
    stand_in.runner.run(said(stand_in, "stopped answering; starting again"))
    stand_in.wait("ready")
    assert eventually_gone(first)


def test_a_server_that_cannot_start_is_given_up_with_its_reason(stand_in: StandIn) -> None:
    engine = stand_in.start(BROKEN)
    stand_in.wait("failed")
    assert "ValueError: no such model" in engine.state.detail
    assert "given up after 4 failures" in engine.state.detail
    with pytest.raises(EngineUnavailable, match="no such model"):
        stand_in.runner.run(engine.complete(ASK, Sampling(max_tokens=1)))


def test_a_server_that_is_never_ready_is_ended(stand_in: StandIn) -> None:
    engine = stand_in.start(SILENT, start_timeout_s=0.3)
    stand_in.wait("failed")
    assert "not ready within 0.3 s" in engine.state.detail
    assert engine.pid is None


def test_a_log_that_somebody_removes_does_no_harm(stand_in: StandIn) -> None:
    engine = stand_in.start(SERVES_ONCE_ITS_LOG_IS_GONE)
    log = stand_in.folder / "logs" / "engine.log"
    stand_in.runner.run(there(log))
    log.unlink()
    stand_in.wait("ready")
    family(engine)[-1].kill()
    stand_in.wait("starting")
    assert any("ended with code 137: see " in line for line in stand_in.says)


def test_a_server_that_cannot_be_spawned_is_given_up(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    engine = stand_in.start(SERVES)
    stand_in.wait("failed")
    assert "No such file" in engine.state.detail
    assert "given up after 4 failures" in engine.state.detail


def test_no_error_of_ours_leaves_the_engine_starting_for_ever(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    def say(line: str) -> None:
        if "warming up" in line:
            raise ValueError("nobody listens")

    engine = stand_in.start(SERVES, say=say)
    stand_in.wait("failed")
    assert engine.state.detail == "ValueError: nobody listens"
    assert engine.pid is None
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("script", [SERVES, SILENT])
def test_close_leaves_no_process(stand_in: StandIn, script: str) -> None:
    engine = stand_in.start(script)
    if script == SERVES:
        stand_in.wait("ready")
    else:
        stand_in.runner.run(asyncio.sleep(0.5))
    pids = [process.pid for process in family(engine)]
    stand_in.runner.run(engine.close())
    assert eventually_gone(pids)
    assert engine.pid is None


def test_a_close_while_a_deaf_server_is_ended_kills_it_at_once(stand_in: StandIn) -> None:
    engine = stand_in.start(DEAF, start_timeout_s=3)
    stand_in.runner.run(there(stand_in.folder / "vllm" / "entrypoints" / "openai" / "told"))
    pids = [process.pid for process in family(engine)]
    began = time.monotonic()
    stand_in.runner.run(engine.close())
    assert time.monotonic() - began < 5
    assert eventually_gone(pids)


def test_the_log_of_the_run_before_is_kept(stand_in: StandIn) -> None:
    stand_in.start(BROKEN)
    stand_in.wait("failed")
    stand_in.runner.run(stand_in.engine.start())
    stand_in.wait("failed")
    assert {p.name for p in (stand_in.folder / "logs").iterdir()} == {
        "engine.log",
        "engine.log.1",
    }


RealEngine = tuple[asyncio.Runner, LocalEngine]


@pytest.mark.engine
def test_the_real_engine_answers_the_same_twice(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    for temperature, seed in ((0.0, None), (1.0, 7)):
        ask = [runner.run(engine.complete(ASK, Sampling(temperature, 16, seed))) for _ in range(2)]
        assert ask[0].choices == ask[1].choices
        assert ask[0].completion_tokens > 0


@pytest.mark.engine
def test_the_real_engine_refuses_what_is_over_its_context(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    long = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(TooLarge, match="context"):
        runner.run(engine.complete(long, Sampling(max_tokens=16)))
    with pytest.raises(TooLarge, match="context"):
        runner.run(engine.complete(ASK, Sampling(max_tokens=4000)))


@pytest.mark.engine
def test_the_real_engine_serves_many_at_once(real_engine: RealEngine) -> None:
    runner, engine = real_engine

    async def ask_all() -> list[str]:
        calls = (engine.complete(ASK, Sampling(max_tokens=8)) for _ in range(20))
        return [one.choices[0].text for one in await asyncio.gather(*calls)]

    assert len(set(runner.run(ask_all()))) <= 2  # batches may round differently


@pytest.mark.engine
def test_the_real_engine_comes_back_after_its_worker_is_killed(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    first = family(engine)
    worker = max(first, key=lambda process: process.memory_info().rss)
    worker.send_signal(signal.SIGKILL)
    runner.run(until(engine, "starting", 60))
    runner.run(until(engine, "ready"))
    assert runner.run(engine.complete(ASK, Sampling(max_tokens=4))).choices[0].text
    assert eventually_gone([process.pid for process in first])


OWNER = """
import asyncio, sys
from pathlib import Path
import psutil
from service.engine.make import make_engine
from service.models.registry import ServedModel
from service.settings import load_settings

async def main(model, home):
    settings = load_settings(home=home, engine="local", max_model_len=2048)
    engine = make_engine(settings, ServedModel("small", "r", Path(model)), lambda line: None)
    await engine.start()
    # A fast machine may be past that phase between two looks.
    while "starting the worker" not in engine.state.detail and engine.state.status != "ready":
        await asyncio.sleep(0.05)
    keeper = psutil.Process(engine.pid)
    pids = [keeper.pid, *(child.pid for child in keeper.children(recursive=True))]
    (Path(home) / "new").write_text(" ".join(map(str, pids)))
    (Path(home) / "new").rename(Path(home) / "pids")
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.engine
def test_the_real_engine_dies_with_a_service_that_is_killed(
    small_model: ServedModel, tmp_path: Path
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(small_model.path), str(tmp_path)],
        cwd=Path(__file__).parents[1],
    )
    pids = pids_in(tmp_path / "pids", timeout_s=600)
    assert len(pids) > 3
    owner.kill()
    owner.wait(20)
    assert eventually_gone(pids, timeout_s=20)
