"""What a run has cost: steps, hours and tokens by stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from service.jobs.spec import Resources, Stage
from trainer.report.facts import Facts, Row


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
    # stages/<stage>.json has the time of the session that ended it, the rows those of all steps.
    stepping = sum(number(row.get("seconds")) or 0.0 for row in rows)
    tokens = [found for row in rows if (found := number(row.get("tokens"))) is not None]
    peaks = [found for row in rows if (found := number(row.get("peak_memory_mb"))) is not None]
    told = ended.get("numbers")
    counted = number(told.get("tokens")) if isinstance(told, dict) else None
    total = max(tokens) if tokens else counted
    return StageCost(
        stage=stage,
        steps=len(rows),
        seconds=max(stepping, number(ended.get("seconds")) or 0.0),
        tokens=None if total is None else int(total),
        peak_memory_mb=int(max(peaks)) if peaks else None,
    )


def number(value: Any) -> float | None:
    """The value if it is a number, no truth value."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None
