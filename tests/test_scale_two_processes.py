"""Two nodes of one process each, on the loopback device: what they learn is what one would."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest
from tests.fixtures_trainer import ROOT, bandit_model, make_run
from trainer.scale.launch import Node, launch

RANK = Path(__file__).parent / "grpo_rank.py"
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
    request: RunRequest, folder: Path, node: Node
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The node's own command, with the replaying rank in place of `-m trainer`."""
    found = launch(request, folder / "run", node)
    at = found.command.index("trainer") - 1
    script = [str(RANK), str(request.base_model_path), str(folder / "run")]
    log = folder / f"node_{node.rank}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*found.command[:at], *script],
            cwd=ROOT,
            env=os.environ | found.environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
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


def trained(folder: Path, model: Path, nodes: int) -> RunDir:
    """A run of two steps, each of two groups."""
    run = make_run(
        folder,
        model,
        max_steps=STEPS,
        prompts_per_step=PROMPTS,
        lora_rank=0,
        learning_rate=1e-3,
        checkpoint_every=STEPS,
    )
    request, port = spread(run, nodes), free_port()
    with ExitStack() as stack:
        ranks = [
            stack.enter_context(started(request, folder, Node(rank, main_port=port)))
            for rank in range(nodes)
        ]
        for process, log in ranks:
            assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
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
