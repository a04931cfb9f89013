"""The report's part on select: every arm with its accuracy, those that went farthest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.text2sql.evaluation.accuracy import wilson
from service.text2sql.evaluation.charts import ShareBar, share_bars
from trainer.report.facts import Facts, Row, rows_of
from trainer.report.tables import table

_DRAWN = 24
_HEADS = ("arm", "base model", "template", "temperature", "accuracy", "right of judged", "end")


@dataclass(frozen=True, slots=True)
class Arm:
    """One combination, with the counts of its last round."""

    about: Row
    right: int
    judged: int
    rounds: int

    @property
    def share(self) -> float:
        """0..1; 0 if nothing was judged."""
        return self.right / self.judged if self.judged else 0.0


def selection_section(facts: Facts) -> str:
    """Nothing where the stage has not run."""
    numbers = facts.numbers("select")
    arms = read_arms(numbers)
    if not arms:
        return ""
    won = numbers.get("winner")
    drawn = share_bars("select", "Accuracy by arm", [_bar(arm) for arm in arms[:_DRAWN]])
    return (
        "<h2>Selection</h2><p class='soft'>Base models by prompt templates by temperatures, halved "
        "round by round: an arm that was dropped early answered few questions, and its interval "
        f"is wide.</p>{drawn}{table(_HEADS, [_row(arm, won) for arm in arms], numbers=(4, 5))}"
    )


def read_arms(numbers: Row) -> list[Arm]:
    """From the numbers of stages/select.json: most rounds first, then the best."""
    found = []
    for row in rows_of(numbers.get("arms")):
        rounds = [one for one in rows_of(row.get("rounds")) if _are_counts(one)]
        right, judged = (rounds[-1]["right"], rounds[-1]["judged"]) if rounds else (0, 0)
        found.append(Arm(row, right, judged, len(rounds)))
    won = numbers.get("winner")
    return sorted(found, key=lambda a: (a.about.get("number") != won, -a.rounds, -a.share))


def _are_counts(row: Row) -> bool:
    return all(isinstance(row.get(name), int) for name in ("right", "judged"))


def _bar(arm: Arm) -> ShareBar:
    interval = wilson(arm.right, arm.judged) if arm.judged else None
    label = f"{arm.about.get('number')} {arm.about.get('template')}"
    return ShareBar(label, arm.share, interval, f"{arm.right} of {arm.judged}")


def _row(arm: Arm, won: object) -> Sequence[object]:
    about = [arm.about.get(n) for n in ("number", "base_model", "template", "temperature")]
    share = f"{arm.share:.1%}" if arm.judged else "not judged"
    end = f"out in round {arm.about.get('dropped_in_round')}"
    end = "chosen" if arm.about.get("number") == won else end
    return [*about, share, f"{arm.right} of {arm.judged}", end]
