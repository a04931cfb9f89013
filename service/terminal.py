"""What the command line shows: tables and few words, on standard output."""

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table


def show_answer(answer: dict[str, Any]) -> None:
    """The SQL, what it does, and its rows; or why there is none."""
    console = Console()
    if answer["clarification"]:
        console.print(answer["clarification"], markup=False)
        return
    sql = answer["sql"] or answer["sqlite_sql"] or "-- no SQL in the answer"
    console.print(Syntax(sql, "sql", word_wrap=True))
    told = [answer["explanation"], _votes(answer), *answer["warnings"], _model(answer)]
    for line in filter(None, told):
        console.print(line, style="dim", markup=False)
    if not answer["result"]:
        for error in dict.fromkeys(c["error"] for c in answer["candidates"] if c["error"]):
            console.print(error, style="red", markup=False)
        return
    _show_table(answer["result"]["columns"], answer["result"]["rows"])
    more = " (more were cut)" if answer["result"]["truncated"] else ""
    took = answer["result"]["elapsed_ms"]
    console.print(f"{len(answer['result']['rows'])} rows{more} in {took:.1f} ms")


def _votes(answer: dict[str, Any]) -> str | None:
    if answer["verified"]:
        return "People have confirmed this query for this question."
    if answer["confidence"] is None:
        return None
    votes = max(candidate["votes"] for candidate in answer["candidates"])
    sure = f"confidence {answer['confidence']:.2f}, {answer['confidence_basis']}"
    return f"{votes} of {len(answer['candidates'])} candidates agree ({sure})."


def _model(answer: dict[str, Any]) -> str | None:
    """Which model answered; None where people did."""
    model = answer.get("model") or {}
    if answer["verified"] or not model.get("name"):
        return None
    name, _, revision = (model.get("adapter") or "").rpartition("@")
    if not name:
        return f"Answered by {model['name']}."
    beside = "" if name == model["name"] else f"{name} "
    return f"Answered by {model['name']} (tuned: adapter {beside}{revision})."


def show_verdicts(answer: dict[str, Any]) -> None:
    """A line for each prediction."""
    rows = [
        [v["status"], v["reward"], *v["metrics"].values(), v["sql"], v["message"]]
        for v in answer["verdicts"]
    ]
    names = list(answer["verdicts"][0]["metrics"])
    _show_table(["status", "reward", *names, "sql", "message"], rows)


def show_job(job: dict[str, Any]) -> None:
    """One job, field by field."""
    rows = [[name, value] for name, value in job.items() if value is not None]
    _show_table(["field", "value"], rows)


def show_jobs(jobs: Sequence[dict[str, Any]]) -> None:
    """One line a job."""
    rows = [
        [j["id"], j["status"], f"{j['progress']:.0%}", j["spec"]["name"], _why(j)] for j in jobs
    ]
    _show_table(["id", "status", "progress", "name", "why"], rows)


def _why(job: dict[str, Any]) -> str:
    """What a job waits for, or how it failed."""
    return job["error"]["code"] if job["error"] else job["reason"] or ""


def show_checkpoints(found: Sequence[dict[str, Any]], best: int | None) -> None:
    """One line a checkpoint; the best one has a star."""
    names = ["reward", "loss", "dev_accuracy"]
    rows = [
        [
            f"{c['step']}{' *' if c['step'] == best else ''}",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(c["created_at"])),
            f"{c['size_bytes'] / 1e6:.1f}",
            *(_short(c["metrics"].get(name)) for name in names),
        ]
        for c in found
    ]
    _show_table(["step", "created", "MB", *names], rows)


def show_feedback(statements: Sequence[dict[str, Any]]) -> None:
    """One line a statement."""
    names = ["id", "request_id", "db_id", "rating", "question", "sql", "comment"]
    _show_table(names, [[statement[name] for name in names] for statement in statements])


def show_models(found: Sequence[dict[str, Any]]) -> None:
    """One line a model."""
    names = ["name", "served_name", "state", "parent", "why"]
    _show_table(names, [[model[name] for name in names] for model in found])


def show_outcome(outcome: dict[str, Any]) -> None:
    """What a model was asked, and which one is live."""
    names = ["name", "passed", "value", "limit", "detail"]
    if outcome["checks"]:
        _show_table(names, [[check[name] for name in names] for check in outcome["checks"]])
    live, before = outcome["live"], outcome["previous"]
    Console().print(f"live: {live} (before: {before})", highlight=False, markup=False)


def show_steps(steps: Sequence[dict[str, Any]]) -> None:
    """One line a training step."""
    names = ["step", "reward", "useful_groups", "loss", "completion_tokens", "seconds"]
    rows = [[_short(step.get(name)) for name in names] for step in steps]
    _show_table(names, rows)


def show_lines(lines: Sequence[str]) -> None:
    """Text as it is."""
    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table()
    for name in columns:
        table.add_column(str(name), overflow="fold")
    for row in rows:
        table.add_row(*("NULL" if cell is None else str(cell) for cell in row))
    Console().print(table, markup=False)


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
