"""Which checkpoints are measured: before and after each training stage, and some within; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.context import Policy, StageResult

BASE = "base"
PARENT = "parent"
_TRAINING = ("offline", "grpo")


@dataclass(frozen=True, slots=True)
class Point:
    """A policy along the run."""

    name: str
    """Of its folder: `base`, `parent`, or stage and checkpoint as in `grpo_step_40`."""
    stage: str
    """That made it; `base` or `parent` for none of the run's."""
    policy: Policy
    before: str
    """Name of the point at which its stage began; its own for the base."""

    @property
    def step(self) -> int:
        """Optimiser steps so far, through all stages."""
        return self.policy.checkpoint or 0


def points(
    policy: Policy, results: Mapping[str, StageResult], checkpoints: Sequence[int], within: int
) -> list[Point]:
    """In the order of training: the base, the parent if there is one, each stage's end, `within`
    checkpoints of grpo before it.

    `policy` is any of the run's, `results` are those of earlier stages in their order,
    `checkpoints` the numbers of all that there are.
    """
    start = policy.model_copy(update={"checkpoint": None})
    found = [Point(BASE, BASE, start.model_copy(update={"parent": None}), BASE)]
    if policy.parent:
        found.append(Point(PARENT, PARENT, start, BASE))
    steps = 0
    for stage, result in results.items():
        numbers = _numbers(result, steps, checkpoints, within) if stage in _TRAINING else []
        before = found[-1].name
        for number in numbers:
            made = result.policy.model_copy(update={"checkpoint": number})
            found.append(Point(f"{stage}_step_{number}", stage, made, before))
        steps = result.steps
    return found


def spread(numbers: Sequence[int], start: int, end: int, count: int) -> list[int]:
    """At most `count` of the numbers between start and end, those nearest to even distances.

    Of two that are as near the smaller is taken; none twice; in rising order.
    """
    left = sorted(n for n in numbers if start < n < end)
    chosen = set()
    for i in range(1, count + 1):
        if not left:
            break
        wanted = start + (end - start) * i / (count + 1)
        nearest = min(left, key=lambda n: abs(n - wanted))
        left.remove(nearest)
        chosen.add(nearest)
    return sorted(chosen)


def _numbers(result: StageResult, start: int, checkpoints: Sequence[int], within: int) -> list[int]:
    last = result.policy.checkpoint
    if last is None or last <= start:
        return []
    return [*spread(checkpoints, start, last, within if result.stage == "grpo" else 0), last]
