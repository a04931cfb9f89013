"""Which of a run's processes this one is, and what they say to each other; alone, nothing happens.

The launcher numbers the processes (RANK, WORLD_SIZE). Collectives are called by all ranks or by
none, in the same order, after accelerate has set up the process group.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from service.jobs.rundir import RunDir, RunStatus
from trainer.errors import RunFailed

T = TypeVar("T")


def rank() -> int:
    """This process's number, 0 if it is alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """True in the one process that writes the run's files and holds its lock."""
    return rank() == 0


def barrier() -> None:
    """Wait until every rank is here."""
    if world_size() > 1:
        import torch.distributed

        torch.distributed.barrier()


def gather(items: list[T]) -> list[T]:
    """All ranks' items, in the order of the ranks; every rank gets them."""
    if world_size() == 1:
        return items
    import torch.distributed

    found: list[list[T] | None] = [None] * world_size()
    torch.distributed.all_gather_object(found, items)
    return [item for part in found for item in part or []]


def any_rank(flag: bool) -> bool:
    """True on every rank if it is on one: a signal reaches the ranks at different moments."""
    return any(gather([flag]))


def failing_together(work: Callable[[], T]) -> T:
    """What `work` gives; where a rank's own raises RunFailed, every rank raises the first of those.

    The run's files belong to rank 0, so it must learn why another cannot go on: killed by the
    launcher instead, it would look like a machine that was taken away.
    """
    found, failure = None, None
    try:
        found = work()
    except RunFailed as error:
        failure = error
    for reason in gather([failure]):
        if reason is not None:
            raise reason
    return cast(T, found)


def from_main(value: T) -> T:
    """What rank 0 has."""
    return gather([value])[0]


def main_first(work: Callable[[], T]) -> T:
    """Rank 0 does it, then all others, who find the files that it left; each gets its own result.

    Where rank 0 fails the others are not held up.
    """
    if not is_main():
        barrier()
        return work()
    try:
        return work()
    finally:
        barrier()


class SilentRun(RunDir):
    """A run directory for the ranks that only read it: what they would write, rank 0 writes."""

    def write_status(self, status: RunStatus) -> None:
        """Nothing."""

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Nothing."""

    def append_event(self, level: str, type_: str, message: str, **data: Any) -> None:
        """Nothing."""

    def append_rollout(self, row: dict[str, Any]) -> None:
        """Nothing."""

    def keep_steps(self, last: int) -> None:
        """Nothing."""


def run_of_rank(path: Path) -> RunDir:
    """The run as this process may use it."""
    return RunDir(path) if is_main() else SilentRun(path)
