"""`verisql jobs promote`: a checkpoint of a job becomes the live model."""

from typing import Annotated, Any

import typer

from service import terminal
from service.client import Client
from service.commands.options import Key, Url, address


def promote(
    job_id: Annotated[str, typer.Argument(help="The job's id.")],
    step: Annotated[
        int | None, typer.Argument(min=1, help="Of the checkpoint; default: the best or newest.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model shall be called.")] = None,
    questions: Annotated[int | None, typer.Option(min=0, help="Of dev; 0 asks none.")] = None,
    drop: Annotated[
        float | None, typer.Option(min=0, max=1, help="How much lower its accuracy may be.")
    ] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Try a checkpoint beside the live model, and switch to it; ends with 1 if it fails."""
    body = {"name": name, "questions": questions, "drop": drop}
    with Client(*address(url, api_key), timeout_s=None) as client:  # dev may take long
        chosen = _best(client, job_id) if step is None else step
        path = f"/train-jobs/{job_id}/checkpoints/{chosen}/promote"
        terminal.show_outcome(client.post(path, body))


def _best(client: Client, job_id: str) -> int:
    """As `evaluate` chose it on dev; without that stage the newest."""
    job = client.get(f"/train-jobs/{job_id}")
    if job["best_checkpoint"] is not None:
        return int(job["best_checkpoint"])
    if job["status"] == "succeeded" and "evaluate" in job["spec"]["recipe"]:
        raise typer.BadParameter(
            f"on dev no checkpoint of {job_id} did better than what it began with: name a step"
        )
    found: Any = client.get(f"/train-jobs/{job_id}/checkpoints")
    if not found:
        raise typer.BadParameter(f"{job_id} has no checkpoint yet")
    return max(int(one["step"]) for one in found)
