"""What `verisql eval` and `verisql compare` say at their end."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Rows
from rich.text import Text

from service.text2sql.evaluation import Comparison, Outcome, summarise
from service.text2sql.evaluation.comparison import Pair

_NAMED = 20  # questions that are listed


def show_accuracy(outcomes: Sequence[Outcome], metrics: Sequence[str]) -> None:
    """A table for each metric, a line for each difficulty; what was left out; pass@k."""
    out, summary = Console(), summarise(outcomes, metrics)
    if not summary["judged"]:
        out.print("No question could be judged: there is no accuracy to show.")
    for metric in metrics if summary["judged"] else ():
        rows = Rows("difficulty", "right", "judged", metric, "95 % interval")
        for a in summary["accuracy"][metric]:
            shown = _percent(a["share"]), _between(a["interval_95"])
            rows.add_row(Text(_plain(a["name"])), str(a["right"]), str(a["judged"]), *shown)
        out.print(rows)
    _show_at_k(out, summary["at_k"][metrics[0]])
    if summary["verified"]:
        out.print(f"{summary['verified']} answers are verified queries, not the model's")
    if masked := summary["masked"]:
        out.print(f"{len(masked)} left out: their gold or the service was at fault")
        for one in masked[:_NAMED]:
            _line(out, f"  {one['question_id']} ({one['db_id']}): {one['status']}")


def show_comparison(found: Comparison) -> None:
    """The table of counts, the test, the questions that one run alone has right."""
    out = Console()
    counted = ("judged", "both right", "only A", "only B", "neither")
    rows = Rows(found.metric, *counted, "B - A", "95 % interval", "McNemar p")
    for t in found.tables:
        counts = (t.judged, t.both, t.only_a, t.only_b, t.neither)
        shown = f"{t.difference:+.1%}", _between(t.interval if t.judged else None, "+")
        rows.add_row(Text(_plain(t.name)), *map(str, counts), *shown, f"{t.p_value:.4f}")
    out.print(rows)
    if not found.tables[-1].judged:
        out.print("No question could be judged in both runs: nothing is compared.")
    if found.masked:
        out.print(f"{found.masked} left out: one of the runs could not be judged on them")
    if any(found.unpaired):
        out.print("asked by A alone: {}, by B alone: {}".format(*found.unpaired))
    _questions(out, "right in A alone", found.lost)
    _questions(out, "right in B alone", found.won)


def _show_at_k(out: Console, at_k: Sequence[dict[str, Any]]) -> None:
    if not at_k or at_k[-1]["k"] < 2:
        return
    rows = Rows("k", "pass@k", "majority@k", "questions")
    for one in at_k:
        shown = _percent(one["pass_at_k"]), _percent(one["majority_at_k"])
        rows.add_row(str(one["k"]), *shown, str(one["questions"]))
    out.print(rows)


def _questions(out: Console, what: str, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    more = f", {_NAMED} of them" if len(pairs) > _NAMED else ""
    out.print(f"{len(pairs)} {what}{more}:")
    for one, _ in pairs[:_NAMED]:
        asked = one.question
        _line(out, f"  {asked.question_id} ({asked.db_id}, {asked.difficulty}): {asked.question}")


def _line(out: Console, text: str) -> None:
    out.print(_plain(text), markup=False, highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    """Without what moves a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"


def _between(interval: Sequence[float] | None, sign: str = "") -> str:
    return "none" if interval is None else " to ".join(f"{x:{sign}.1%}" for x in interval)
