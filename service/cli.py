"""The command line: serve | ask | verify | audit | eval | compare | train | jobs | models | ..."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from service import terminal
from service.client import Client, ServiceError
from service.commands.ask import ask
from service.commands.audit import audit
from service.commands.compare import compare_runs
from service.commands.eval import evaluation
from service.commands.feedback import feedback
from service.commands.job_calls import checkpoints, create, read_spec
from service.commands.job_watch import events, logs, watch
from service.commands.models import models
from service.commands.options import Key, Url, address
from service.commands.promote import promote
from service.commands.store import store
from service.commands.verify import verify
from service.errors import VeriSQLError
from service.settings import load_settings

app = typer.Typer(
    help="Answer questions with SQL, verify SQL by execution, train on the verdicts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
jobs = typer.Typer(help="Training jobs of a running service.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")
app.add_typer(feedback, name="feedback")
app.add_typer(models, name="models")
app.add_typer(store, name="store")
app.command()(audit)

JobId = Annotated[str, typer.Argument(help="The job's id.")]


def main() -> None:
    """Entry point of the `verisql` command: every expected failure is one clear line."""
    try:
        app()
    except (VeriSQLError, ServiceError) as error:
        console = Console(stderr=True, soft_wrap=True)  # one line, however narrow the terminal
        console.print(f"[red]error[/] ({error.code}): ", end="")
        console.print(str(error), markup=False, highlight=False)
        sys.exit(2 if isinstance(error, VeriSQLError) else 1)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address; VERISQL_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port, 0 for a free one; VERISQL_PORT.")] = None,
    engine: Annotated[str | None, typer.Option(help="local, url or off; VERISQL_ENGINE.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to serve; VERISQL_MODEL.")] = None,
) -> None:
    """Start the service; Ctrl-C ends it and everything it started."""
    from service.serving import run  # only this command needs the web framework

    given = {"host": host, "port": port, "engine": engine, "model": model}
    run(load_settings(**{name: value for name, value in given.items() if value is not None}))


app.command()(ask)
app.command()(verify)


app.command(name="eval")(evaluation)
app.command(name="compare")(compare_runs)


@app.command()
def train(
    spec: Annotated[
        Path | None, typer.Option(help="A job spec as JSON (docs/train-jobs.md).")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="Model to start from.")] = None,
    train_data: Annotated[str | None, typer.Option(help="`demo` or a BIRD-format file.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of data order and sampling.")] = None,
    hyperparameter: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, more than once.")
    ] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Create a training job; options come on top of the spec file."""
    given = {
        "base_model": base_model,
        "train_data": train_data,
        "max_steps": max_steps,
        "seed": seed,
    }
    body = (read_spec(spec) if spec else {}) | {k: v for k, v in given.items() if v is not None}
    if hyperparameter:
        chosen = dict(_assignment(text) for text in hyperparameter)
        body["hyperparameters"] = body.get("hyperparameters", {}) | chosen
    with _client(url, api_key) as client:
        terminal.show_job(client.post("/train-jobs", body))


@jobs.command(name="list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    after: Annotated[
        str | None, typer.Option(help="Go on: the last id of the list before.")
    ] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """The latest jobs."""
    with _client(url, api_key) as client:
        page = client.get("/train-jobs", limit=limit, status=status, after=after)
        terminal.show_jobs(page["data"])
    if page["has_more"]:
        terminal.show_lines([f"more: --after {page['data'][-1]['id']}"])


@jobs.command()
def show(job_id: JobId, url: Url = None, api_key: Key = None) -> None:
    """One job: state, progress, spec."""
    with _client(url, api_key) as client:
        terminal.show_job(client.get(f"/train-jobs/{job_id}"))


@jobs.command()
def metrics(job_id: JobId, url: Url = None, api_key: Key = None) -> None:
    """Reward and verdicts per step."""
    path, rows = f"/train-jobs/{job_id}/metrics", []
    with _client(url, api_key) as client:
        page = client.get(path)
        while page["data"]:
            rows += page["data"]
            page = client.get(path, after=page["next"])
    terminal.show_steps(rows)


jobs.command()(create)
jobs.command()(checkpoints)
jobs.command()(watch)
jobs.command()(logs)
jobs.command()(events)
jobs.command()(promote)


@jobs.command()
def cancel(job_id: JobId, url: Url = None, api_key: Key = None) -> None:
    """Ask a job to stop; it may write a last checkpoint."""
    with _client(url, api_key) as client:
        terminal.show_job(client.post(f"/train-jobs/{job_id}/cancel"))


@jobs.command()
def pause(job_id: JobId, url: Url = None, api_key: Key = None) -> None:
    """Ask a job to write a checkpoint and free its machine."""
    with _client(url, api_key) as client:
        terminal.show_job(client.post(f"/train-jobs/{job_id}/pause"))


@jobs.command()
def resume(job_id: JobId, url: Url = None, api_key: Key = None) -> None:
    """Queue a paused or failed job again; it goes on from its newest checkpoint."""
    with _client(url, api_key) as client:
        terminal.show_job(client.post(f"/train-jobs/{job_id}/resume"))


def _client(url: str | None, api_key: str | None) -> Client:
    return Client(*address(url, api_key))


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"--set {text}: must be NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
