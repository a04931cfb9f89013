"""`verisql verify`: judge SQL given as arguments, or a whole file of predictions."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from service import terminal
from service.client import Client, Options, VerifyClient
from service.commands.judge_file import judge_file
from service.commands.options import DEFAULT_METRICS, Key, Metrics, Url, address
from service.commands.prediction_file import read_predictions
from service.commands.verify_summary import show_summary

_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
_PER_REQUEST = 32  # items: small requests, so that the bar moves
_DEADLINE_S = 7 * 86_400.0


def verify(
    predictions: Annotated[list[str], typer.Argument(help="SQL to judge, or one file.")],
    db: Annotated[str | None, typer.Option("--db", help="The database of SQL arguments.")] = None,
    gold: Annotated[
        list[str] | None, typer.Option(help="Right SQL for SQL arguments; more than one will do.")
    ] = None,
    gold_file: Annotated[
        Path | None, typer.Option(help="Questions with golds, paired with FILE by question_id.")
    ] = None,
    metric: Metrics = None,
    extract: Annotated[
        str, typer.Option(help="none, auto, sql_fence, answer_tag or solution_tag.")
    ] = "none",
    reward: Annotated[
        str | None, typer.Option(help="A preset's name, or a JSON object of weights.")
    ] = None,
    robust: Annotated[
        int | None, typer.Option(min=1, max=64, help="Altered copies to match on too.")
    ] = None,
    timeout_s: Annotated[float | None, typer.Option(min=0.001, help="Of one prediction.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="A line for each prediction of FILE; goes on where it was.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")] = 4,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Judge predictions against gold SQL by running both.

    With --db and --gold, each argument is SQL. A single argument that names a file (or ends in
    .json, .jsonl, .ndjson) is a file of predictions: a JSON list or JSON lines of rows with db_id,
    a gold (gold_sql, SQL or query) and predictions (a list) or prediction, predicted_sql,
    completion (one text); or BIRD's predict_dev.json with --gold-file dev.json.

    For a file the exit code is 0 if everything was judged, 1 if something was masked or failed.
    """
    fields = _fields(metric or DEFAULT_METRICS, extract, reward, robust, timeout_s)
    path = _file(predictions)
    if path is None:
        _no_file_options({"--gold-file": gold_file, "--output": output})
        return _judge_arguments(predictions, db, gold, fields, *address(url, api_key))
    if db or gold:
        raise typer.BadParameter(
            f"{path} brings its own databases and golds; leave out --db, --gold"
        )
    file = read_predictions(path, gold_file)
    options = Options(
        deadline_s=_DEADLINE_S, concurrency=concurrency, items_per_request=_PER_REQUEST
    )
    with VerifyClient(*address(url, api_key), options) as client:
        lines = judge_file(client, file, fields, output)
    show_summary(lines, fields["metrics"], file)
    masked = any("verdict" not in line or line["verdict"]["masked"] for line in lines)
    if masked or file.unanswered or file.unknown:
        raise typer.Exit(1)


def _file(arguments: Sequence[str]) -> Path | None:
    if len(arguments) != 1:
        return None
    path = Path(arguments[0])
    with suppress(OSError, ValueError):  # SQL is often no possible name
        if path.suffix.lower() in _SUFFIXES or path.is_file():
            return path
    return None


def _fields(
    metrics: list[str],
    extract: str,
    reward: str | None,
    robust: int | None,
    timeout_s: float | None,
) -> dict[str, Any]:
    """What every request has; as in POST /verify."""
    given = {
        "metrics": metrics,
        "extract": extract,
        "reward": _reward(reward) if reward else None,
        "robust": {"instances": robust} if robust else None,
        "timeout_s": timeout_s,
    }
    return {name: value for name, value in given.items() if value is not None}


def _reward(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--reward {text}: is not JSON: {error}") from error


def _no_file_options(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None:
            raise typer.BadParameter(f"{name} needs a file of predictions as the one argument")


def _judge_arguments(
    predictions: list[str],
    db: str | None,
    gold: list[str] | None,
    fields: dict[str, Any],
    url: str,
    api_key: str | None,
) -> None:
    for name, value in (("--db", db), ("--gold", gold)):
        if not value:
            raise typer.BadParameter(f"{name} is missing: SQL arguments need it")
    body = {"db_id": db, "gold_sql": gold, "predictions": predictions}
    with Client(url, api_key) as client:
        terminal.show_verdicts(client.post("/verify", body | fields))
