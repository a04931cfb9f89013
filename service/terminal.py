"""What the command line shows: tables and few words, on standard output."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table


def show_answer(answer: dict[str, Any]) -> None:
    """The SQL and its rows."""
    console = Console()
    console.print(Syntax(answer["sql"] or "-- no SQL in the answer", "sql", word_wrap=True))
    for candidate in answer["candidates"]:
        if candidate["error"]:
            console.print(candidate["error"], style="red", markup=False)
    result = answer["result"]
    if result:
        _show_table(result["columns"], result["rows"])
        more = " (more were cut)" if result["truncated"] else ""
        console.print(f"{len(result['rows'])} rows{more} in {result['elapsed_ms']:.1f} ms")


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
    rows = [[j["id"], j["status"], f"{j['progress']:.0%}", j["spec"]["name"]] for j in jobs]
    _show_table(["id", "status", "progress", "name"], rows)


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
        Console().print(line, markup=False, highlight=False)


def _show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table()
    for name in columns:
        table.add_column(str(name), overflow="fold")
    for row in rows:
        table.add_row(*("NULL" if cell is None else str(cell) for cell in row))
    Console().print(table, markup=False)


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
