"""The report's part on dev: accuracy of each point with its interval, and paired differences."""

from collections.abc import Sequence

from service.pages.document import safe
from service.text2sql.evaluation.charts import ShareBar, share_bars
from trainer.report.facts import Facts
from trainer.report.measured import Measured, Paired, best, differences, metric, policies
from trainer.report.tables import table

_HEADS = ("policy", "accuracy", "95 % interval", "right of judged")


def accuracy_section(facts: Facts) -> str:
    """Says so where dev was not asked."""
    numbers = facts.numbers("evaluate")
    found = policies(numbers)
    if not found:
        return "<h2>Accuracy on dev</h2><p>Not measured: the stage evaluate has not run.</p>"
    chosen = best(numbers)
    note = f" Chosen on dev: <strong>{safe(chosen)}</strong>." if chosen else ""
    drawn = share_bars("dev", "Accuracy on dev", [_bar(one) for one in found])
    return (
        f"<h2>Accuracy on dev</h2><p class='soft'>{safe(metric(numbers))}, greedy, one generation; "
        f"the whisker is Wilson's 95 % interval.{note}</p>{drawn}"
        f"{table(_HEADS, map(_row, found), numbers=range(1, 4))}{_pairs(differences(numbers))}"
    )


def _bar(one: Measured) -> ShareBar:
    interval = one.interval if one.judged else None
    return ShareBar(one.name, one.share, interval, f"{one.right:,} of {one.judged:,}")


def _row(one: Measured) -> list[object]:
    counts = f"{one.right:,} of {one.judged:,}"
    if one.share is None:
        return [one.name, "none", "none", counts]
    low, high = one.interval
    return [one.name, f"{one.share:.1%}", f"{low:.1%} to {high:.1%}", counts]


def _pairs(pairs: Sequence[Paired]) -> str:
    if not pairs:
        return ""
    heads = ["from", "to", "points", "95 % interval", "won", "lost", "McNemar's p"]
    return (
        "<p class='soft'>Differences on the same questions: percentage points with Newcombe's "
        "interval. Won: right in the second alone; lost: in the first alone.</p>"
        + table(heads, map(_pair, pairs), numbers=range(2, 7))
    )


def _pair(pair: Paired) -> list[object]:
    low, high = (100 * bound for bound in pair.interval)
    points = f"{100 * pair.difference:+.1f}"
    p = f"{pair.p_value:.2g}"
    return [pair.a, pair.b, points, f"{low:+.1f} to {high:+.1f}", pair.only_b, pair.only_a, p]
