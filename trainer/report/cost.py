"""What a run has cost: steps, hours and tokens by stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from service.jobs.resources import Resources
from service.jobs.spec import Stage
from trainer.report.facts import Facts, Row, rows_of


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage; what was redone after a kill is not counted."""

    stage: str
    steps: int
    seconds: float
    tokens: int | None
    """Prompts and completions; None where the stage does not count them."""
    peak_memory_mb: int | None

    @property
    def hours(self) -> float:
        """Of the clock."""
        return self.seconds / 3600


def costs(facts: Facts) -> list[StageCost]:
    """Of every stage that has begun, in the recipe's order."""
    rows = facts.by_stage()
    begun = [stage for stage in get_args(Stage) if stage in rows or stage in facts.stages]
    return [_cost(stage, facts.stages.get(stage, {}), rows.get(stage, [])) for stage in begun]


def machine_hours(resources: Resources, hours: float) -> str:
    """Hours of all processors that the job asked for: of GPUs if it has any, else of cores."""
    gpus = resources.nodes * resources.gpus_per_node
    if gpus:
        return f"{hours * gpus:,.2f} GPU hours ({gpus} GPUs)"
    cores = resources.nodes * resources.cpus
    return f"{hours * cores:,.2f} core hours ({cores} CPU cores)"


def _cost(stage: str, ended: Row, rows: Sequence[Row]) -> StageCost:
    # stages/<stage>.json has the time of all sessions but killed ones, the rows that of all steps.
    steps = [row for row in rows if "point" not in row]  # Such a row is a measurement, no step.
    stepping = sum(number(row.get("seconds")) or 0.0 for row in steps)
    asking, asked_tokens = _asked(ended.get("numbers"))
    tokens = _most(steps, "tokens") + asked_tokens
    return StageCost(
        stage=stage,
        steps=len(steps),
        seconds=max(stepping, asking, number(ended.get("seconds")) or 0.0),
        tokens=int(tokens) or None,
        peak_memory_mb=int(_most(steps, "peak_memory_mb")) or None,
    )


def _asked(numbers: Any) -> tuple[float, float]:
    """Seconds and tokens of questions that were asked outside of training steps."""
    if not isinstance(numbers, dict):
        return 0.0, 0.0
    points = rows_of(numbers.get("points"))
    counts = [point["tokens"] for point in points if isinstance(point.get("tokens"), dict)]
    tokens = sum(number(count) or 0.0 for told in counts for count in told.values())
    seconds = sum(number(point.get("seconds")) or 0.0 for point in points)
    return seconds, tokens + (number(numbers.get("sampled_tokens")) or 0.0)


def _most(rows: Sequence[Row], name: str) -> float:
    return max((found for row in rows if (found := number(row.get(name)))), default=0.0)


def number(value: Any) -> float | None:
    """The value if it is a number, no truth value."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None
