"""Two nodes of one process each, on the loopback device: what they learn is what one would."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest
from tests.fixtures_trainer import ROOT, TINY, bandit_model, make_run, wait_until
from trainer.scale.launch import Node, launch

RANK = Path(__file__).parent / "grpo_rank.py"
FAILING = Path(__file__).parent / "failing_rank.py"
ROWS = Path(__file__).parent / "rows_rank.py"
STEPS, PROMPTS = 2, 2


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def spread(run: RunDir, nodes: int) -> RunRequest:
    """The run's request, on so many nodes; written back so that the ranks read the same."""
    request = run.request()
    resources = request.spec.resources.model_copy(update={"nodes": nodes})
    request = request.model_copy(
        update={"spec": request.spec.model_copy(update={"resources": resources})}
    )
    (run.path / "job.json").write_text(request.model_dump_json())
    return request


@contextmanager
def started(
    request: RunRequest, folder: Path, node: Node, script: list[str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The node's own command; with `script` in place of `-m trainer --run-dir DIR`, if given."""
    found = launch(request, folder / "run", node)
    at = found.command.index("trainer") - 1
    log = folder / f"node_{node.rank}.log"
    quiet = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*found.command[:at], *script] if script else found.command,
            cwd=ROOT,
            env=os.environ | found.environment | quiet,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def nodes_of(
    run: RunDir, nodes: int, *script: str
) -> Iterator[list[tuple[subprocess.Popen[bytes], Path]]]:
    """All nodes of a run, started."""
    request, port = spread(run, nodes), free_port()
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                started(request, run.path.parent, Node(rank, main_port=port), list(script))
            )
            for rank in range(nodes)
        ]


def end(ranks: list[tuple[subprocess.Popen[bytes], Path]]) -> None:
    """Wait for all; fails with the log of one that failed."""
    for process, log in ranks:
        assert process.wait(timeout=600) == 0, log.read_text()[-3000:]


def trained(folder: Path, model: Path, nodes: int) -> RunDir:
    """A run of two steps, each of two groups, with replayed completions."""
    run = make_run(
        folder,
        model,
        max_steps=STEPS,
        prompts_per_step=PROMPTS,
        lora_rank=0,
        learning_rate=1e-3,
        checkpoint_every=STEPS,
    )
    with nodes_of(run, nodes, str(RANK), str(model), str(run.path)) as ranks:
        end(ranks)
    return run


def weights(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    model = bandit_model(tmp_path / "model")
    start = weights(model)
    runs = [trained(tmp_path / f"on_{nodes}", model, nodes) for nodes in (1, 2)]
    alone, both = [weights(run.checkpoints_path / f"step_{STEPS}") for run in runs]
    moved = {name: (weight - start[name]).abs().max().item() for name, weight in alone.items()}
    apart = {name: (weight - both[name]).abs().max().item() for name, weight in alone.items()}
    assert max(moved.values()) > 1e-3
    assert max(apart.values()) < 1e-6
    states = sorted(p.name for p in (runs[1].checkpoints_path / f"step_{STEPS}").glob("rng*"))
    assert states == ["rng_state_0.pth", "rng_state_1.pth"]
    assert [[row["step"] for row in run.metrics()] for run in runs] == [[1, 2], [1, 2]]


def test_one_rank_looks_at_the_golds_and_the_other_takes_its_rows(tmp_path: Path) -> None:
    run = make_run(tmp_path, bandit_model(tmp_path / "model"), prompts_per_step=PROMPTS)
    with nodes_of(run, 2, str(ROWS), str(run.path)) as ranks:
        end(ranks)
    told = [json.loads((run.path / f"rank_{n}.json").read_bytes()) for n in range(2)]
    assert [one["golds_run"] for one in told] == [1, 0]
    assert told[0]["rows"] == told[1]["rows"] == ["0", "1", "2"]


def test_a_failure_of_one_rank_is_that_of_all(tmp_path: Path) -> None:
    port = str(free_port())
    ranks = [
        subprocess.Popen(
            [sys.executable, str(FAILING)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env=os.environ | {
                "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "RANK": str(rank),
                "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            },
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0].splitlines() for process in ranks]
    why = "verifier_away verify_url: nobody answers at http://judge"
    assert said == [["rank 0 goes on", why], ["rank 1 goes on", why]]


def test_two_nodes_write_one_run_and_stop_and_go_on_together(tmp_path: Path) -> None:
    model = bandit_model(tmp_path / "model")
    run = make_run(tmp_path, model, max_steps=40, prompts_per_step=PROMPTS, checkpoint_every=1000)
    with nodes_of(run, 2) as ranks:
        first = ranks[0][0]
        wait_until(first, lambda: len(run.metrics()) >= 1, "its first step")
        for process, _ in ranks:
            process.terminate()
        for process, _ in ranks:
            process.wait(timeout=240)
    status = run.status()
    assert status is not None
    assert status.state == "cancelled", run.events()
    kept = run.checkpoints()
    assert kept == [status.step]
    assert [row["step"] for row in run.metrics()] == list(range(1, status.step + 1))
    request = run.request()
    shorter = request.spec.model_copy(update={"max_steps": status.step + 1})
    request = request.model_copy(update={"spec": shorter})
    (run.path / "job.json").write_text(request.model_dump_json())
    with nodes_of(run, 2) as ranks:
        end(ranks)
    again = run.status()
    assert again is not None
    assert (again.state, again.step) == ("succeeded", status.step + 1)
    rows = run.metrics()
    assert [row["step"] for row in rows] == list(range(1, status.step + 2))
    assert {sum(row["verdicts"].values()) for row in rows} == {PROMPTS * TINY["group_size"]}
