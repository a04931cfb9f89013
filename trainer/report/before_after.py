"""The report's part with answers: the same dev questions before training and after it.

Both are the evaluate stage's greedy answers. The questions shown are chosen for having changed,
some in each direction, so they say how answers change and not how many; that the counts say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import VeriSQLError
from service.pages.document import safe
from service.text2sql.evaluation.folder import QUESTIONS
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.outcome_file import read_outcomes
from trainer.report.completions import completion, example
from trainer.report.facts import Facts, rows_of
from trainer.report.measured import metric

_SHOWN = 3
"""Questions in each direction."""
_START = ("base", "parent")
Pair = tuple[Outcome, Outcome]
"""The same question before and after."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Two points' answers to the questions that were judged at both."""

    before: str
    after: str
    judged: int
    won: Sequence[Pair]
    """Right after training alone, in the order of the file."""
    lost: Sequence[Pair]


def before_after_section(facts: Facts) -> str:
    """Nothing where no two points of the evaluate stage can be compared."""
    found = changed(facts)
    if found is None:
        return ""
    shown = "".join(
        f"<h3>{title}: {len(pairs)}</h3>{''.join(map(_example, spread(pairs, _SHOWN)))}"
        for title, pairs in (
            ("Wrong before, right after", found.won),
            ("Right before, wrong after", found.lost),
        )
    )
    judged, turned = found.judged, len(found.won) + len(found.lost)
    return (
        f"<h2>The same questions before and after</h2><p class='soft'>Greedy answers to dev of "
        f"{safe(found.before)} and {safe(found.after)}. Of {judged} questions judged at both, "
        f"{turned} have changed between right and wrong. At most {_SHOWN} of each direction are "
        "shown, evenly from the file. They are chosen for having changed: they are no sample.</p>"
        f"{shown}"
    )


def changed(facts: Facts) -> Changed | None:
    """Where training began against its last point; None without both, or without their answers."""
    numbers = facts.numbers("evaluate")
    names = [(str(p.get("name")), p.get("stage")) for p in rows_of(numbers.get("points"))]
    starts = [name for name, stage in names if stage in _START]
    trained = [name for name, stage in names if stage not in _START]
    if not starts or not trained:
        return None
    before, after = (_outcomes(facts, name) for name in (starts[-1], trained[-1]))
    leading = metric(numbers)
    pairs = [(before[place], after[place]) for place in sorted(before.keys() & after.keys())]
    judged = [pair for pair in pairs if not pair[0].masked and not pair[1].masked]
    if not judged:
        return None
    right = [(a.right(leading), b.right(leading)) for a, b in judged]
    won = [pair for pair, told in zip(judged, right, strict=True) if told == (False, True)]
    lost = [pair for pair, told in zip(judged, right, strict=True) if told == (True, False)]
    return Changed(starts[-1], trained[-1], len(judged), won, lost)


def spread(pairs: Sequence[Pair], most: int) -> Sequence[Pair]:
    """At most so many, evenly over all of them."""
    if len(pairs) <= most:
        return pairs
    return [pairs[n * len(pairs) // most] for n in range(most)]


def _outcomes(facts: Facts, name: str) -> dict[int, Outcome]:
    """By place; none where they are not there, or name no folder of the stage."""
    folder = facts.path / "stages" / "evaluate"
    if (folder / name).parent != folder:
        return {}
    try:
        return {one.place: one for one in read_outcomes(folder / name / QUESTIONS)}
    except (VeriSQLError, OSError, ValueError):
        return {}


def _example(pair: Pair) -> str:
    before, after = pair
    asked = before.question
    columns = (_answer("before", before), _answer("after", after))
    return example(asked.db_id, asked.question, asked, *columns)


def _answer(name: str, outcome: Outcome) -> str:
    written = outcome.trace.get("completions")
    text = str(written[0]) if isinstance(written, list) and written else outcome.sql or ""
    return f"<div><h3>{name}</h3>{completion(text, outcome.status, outcome.message)}</div>"
