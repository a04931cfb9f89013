"""`verisql compare`: two evaluations on the same questions, one against the other."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from service.commands.eval_show import show_comparison
from service.text2sql.evaluation import Comparison, compare
from service.text2sql.evaluation.comparison import Pair
from service.text2sql.evaluation.folder import as_json, read_run
from service.text2sql.evaluation.manifest import Manifest
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.whole_file import write_whole

Run = Annotated[Path, typer.Argument(help="The --output folder of an evaluation.")]


def compare_runs(
    a: Run,
    b: Run,
    metric: Annotated[
        str | None, typer.Option(help="Default the first one that A was asked for.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the numbers and all discordant questions as JSON.")
    ] = None,
) -> None:
    """Is run B better than run A? Question by question, with McNemar's exact test.

    The interval is of the difference in accuracy, B minus A. Questions that either run could not
    be judged on are left out.
    """
    (made_a, outcomes_a), (made_b, outcomes_b) = read_run(a), read_run(b)
    found = compare(outcomes_a, outcomes_b, metric or made_a["settings"]["metrics"][0])
    _warn(made_a, made_b)
    show_comparison(found)
    if output:
        write_whole(output, as_json(_report(found, made_a, made_b)))


def _warn(a: Manifest, b: Manifest) -> None:
    """Of what else than the model may have made the difference."""
    console = Console(stderr=True, soft_wrap=True)
    for name, made in (("A", a), ("B", b)):
        if made["status"] != "finished":
            console.print(f"[yellow]warning[/]: run {name} is unfinished")
    if a["answered_by"]["verifier_version"] != b["answered_by"]["verifier_version"]:
        console.print("[yellow]warning[/]: the runs were judged by two versions of the verifier")
    both = a["databases"].keys() & b["databases"].keys()
    if changed := sorted(name for name in both if a["databases"][name] != b["databases"][name]):
        console.print("[yellow]warning[/]: other databases in B than in A: ", end="")
        console.print(", ".join(changed), markup=False, highlight=False)


def _report(found: Comparison, a: Manifest, b: Manifest) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "a": {"settings": a["settings"], "answered_by": a["answered_by"]},
        "b": {"settings": b["settings"], "answered_by": b["answered_by"]},
        "by_difficulty": [
            {"name": t.name, "judged": t.judged, "both": t.both, "only_a": t.only_a,
             "only_b": t.only_b, "neither": t.neither, "difference": t.difference,
             "interval_95": t.interval if t.judged else None, "mcnemar_p": t.p_value}
            for t in found.tables
        ],
        "masked": found.masked,
        "unpaired": {"only_a": found.unpaired[0], "only_b": found.unpaired[1]},
        "only_a_right": [_pair(pair) for pair in found.lost],
        "only_b_right": [_pair(pair) for pair in found.won],
    }  # fmt: skip


def _pair(pair: Pair) -> dict[str, Any]:
    a, b = pair
    asked = a.question
    return {
        "question_id": asked.question_id,
        "db_id": asked.db_id,
        "difficulty": asked.difficulty,
        "question": asked.question,
        "gold_sql": asked.gold_sql,
        "a": _side(a),
        "b": _side(b),
    }


def _side(outcome: Outcome) -> dict[str, Any]:
    return {"sql": outcome.sql, "status": outcome.status}
