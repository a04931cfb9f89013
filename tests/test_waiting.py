"""Who gets the worker that is free, as a function of who waits and what the workers know."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from service.sandbox.process import WorkerProcess
from service.sandbox.waiting import Choice, Waiter, Wanted, choose


class Known:
    """All that is asked of a worker here: what it has open or keeps."""

    def __init__(self, *wanted: Wanted) -> None:
        self.known = {key: None for one in wanted for key in one.keys}


A, B, C = Wanted("a"), Wanted("b"), Wanted("c")
A_GOLD = Wanted("a", ("SELECT 1",), gold_s=10.0)
A_OTHER = Wanted("a", ("SELECT 2",), gold_s=10.0)


def _choose(
    waiting: list[tuple[Wanted, float]], idle: list[Known], busy: list[Known]
) -> tuple[Choice, list[Waiter]]:
    """The choice among those who wait, each for so many seconds already."""

    async def main() -> tuple[Choice, list[Waiter]]:
        waiters = [Waiter(wanted) for wanted, _ in waiting]
        for waiter, (_, waited_s) in zip(waiters, waiting, strict=True):
            waiter.since = time.monotonic() - waited_s
        workers = (cast(list[WorkerProcess], each) for each in (idle, busy))
        return choose(waiters, *workers), waiters

    return asyncio.run(main())


def _chosen(waiting: list[Any], idle: list[Known], busy: list[Known]) -> tuple[int, int]:
    """Places of the waiter and the worker that were chosen."""
    pairs = [(one, 0.0) if isinstance(one, Wanted) else one for one in waiting]
    choice, waiters = _choose(pairs, idle, busy)
    assert choice.waiter
    position: Callable[[Any], int] = idle.index
    return waiters.index(choice.waiter), position(choice.worker)


def test_the_first_comes_first_where_nobody_knows_anything() -> None:
    assert _chosen([A, B, C], [Known()], []) == (0, 0)


def test_a_task_takes_the_worker_that_has_its_database_open() -> None:
    assert _chosen([B], [Known(A), Known(B), Known(C)], []) == (0, 1)


def test_the_worker_that_keeps_the_golds_goes_before_one_with_the_database() -> None:
    assert _chosen([A_GOLD], [Known(A), Known(A_OTHER), Known(A_GOLD)], []) == (0, 2)


def test_who_finds_its_database_open_goes_before_who_does_not() -> None:
    assert _chosen([A, B, C], [Known(C)], []) == (2, 0)


def test_who_is_new_everywhere_goes_before_one_whose_database_is_at_a_busy_worker() -> None:
    assert _chosen([A, B], [Known()], [Known(A)]) == (1, 0)


def test_who_came_first_and_has_waited_long_is_not_passed_over() -> None:
    assert _chosen([(A, 0.1), B], [Known(B)], []) == (1, 0)
    assert _chosen([(A, 1.0), B], [Known(B)], []) == (0, 0)
    assert _chosen([(A, 1.0), B], [Known()], [Known(A)]) == (0, 0)


def test_a_task_waits_for_its_golds_as_long_as_they_would_take_to_run() -> None:
    choice, _ = _choose([(A_GOLD, 4.0)], [Known(A)], [Known(A_GOLD)])
    assert (choice.waiter, choice.worker) == (None, None)
    assert 5.0 < choice.wait_s <= 6.0
    assert _chosen([(A_GOLD, 11.0)], [Known(A)], [Known(A_GOLD)]) == (0, 0)


def test_the_shortest_of_several_waits_counts_and_others_go_meanwhile() -> None:
    keeps = [Known(A_GOLD, A_OTHER)]
    choice, _ = _choose([(A_GOLD, 1.0), (A_OTHER, 8.0)], [Known()], keeps)
    assert 1.0 < choice.wait_s <= 2.0
    assert _chosen([A_GOLD, B], [Known()], keeps) == (1, 0)


def test_golds_that_cost_nothing_are_not_waited_for() -> None:
    cheap = Wanted("a", ("SELECT 1",))
    assert _chosen([cheap], [Known()], [Known(cheap)]) == (0, 0)


def test_only_the_first_of_a_long_queue_are_looked_at() -> None:
    assert _chosen([A] * 31 + [B], [Known(B)], []) == (31, 0)
    assert _chosen([A] * 32 + [B], [Known(B)], []) == (0, 0)
