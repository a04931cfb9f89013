"""`verisql jobs create | checkpoints`, and the file that holds a job's spec."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service import terminal
from service.client import Client
from service.commands.options import Key, Url, address

_STDIN = Path("-")


def create(
    spec: Annotated[Path, typer.Argument(help="A job spec as JSON; `-` is standard input.")],
    idempotency_key: Annotated[
        str | None, typer.Option("--key", help="The same key never creates a second job.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the id alone.")] = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Create a training job from a file (docs/train-jobs.md)."""
    if not (idempotency_key or "").isascii():
        raise typer.BadParameter("--key must be ASCII: it is sent as a header")
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    with Client(*address(url, api_key)) as client:
        job = client.post("/train-jobs", read_spec(spec), headers)
    if quiet:
        terminal.show_lines([job["id"]])
    else:
        terminal.show_job(job)


def checkpoints(
    job_id: Annotated[str, typer.Argument(help="The job's id.")],
    url: Url = None,
    api_key: Key = None,
) -> None:
    """What can be served, exported or trained on from: each checkpoint with its numbers."""
    with Client(*address(url, api_key)) as client:
        job = client.get(f"/train-jobs/{job_id}")
        found = client.get_list(f"/train-jobs/{job_id}/checkpoints")
    terminal.show_checkpoints(found, job["best_checkpoint"])
    if found:
        terminal.show_lines([f"in {job['run_dir']}/checkpoints/step_N"])


def read_spec(path: Path) -> dict[str, Any]:
    """The JSON object in that file; raises typer.BadParameter."""
    try:
        read = sys.stdin.buffer.read() if path == _STDIN else path.read_bytes()
        spec = json.loads(read, parse_constant=_no_number)
        json.dumps(spec, ensure_ascii=False).encode()  # half a character cannot be sent
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from error
    if not isinstance(spec, dict):
        raise typer.BadParameter(f"{path} must hold a JSON object")
    return spec


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
