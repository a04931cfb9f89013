"""What is kept of verdicts, for how long, and who runs a prediction that several ask for."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from service.errors import NoFreeWorker
from service.sandbox.executor import Executor
from service.sandbox.judging import Judged
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.policy import Policy
from service.text2sql.types import VerifyTask
from service.text2sql.verdict_cache import Answers, GroupKey, VerdictCache
from service.text2sql.verifier import Verifier

MEGABYTE = 2**20


def _key(gold: str = "SELECT 1", sha256: str = "0") -> GroupKey:
    return GroupKey(sha256, (gold,), ("bird_ex",), 1.0, 1.0, 3)


def _answer(status: str = "ok", **rest: Any) -> dict[str, Any]:
    return {"status": status, "metrics": {"bird_ex": 1.0}, **rest}


class Worker:
    """Judges as told; `asked` has the predictions of each call."""

    def __init__(self, answer: Callable[[str], dict[str, Any]] = lambda sql: _answer()) -> None:
        self.asked: list[list[str]] = []
        self.gold: dict[str, Any] = {"status": "ok", "elapsed_ms": 5.0, "cached": False}
        self._answer = answer

    async def __call__(self, predictions: Sequence[str]) -> Judged:
        self.asked.append(list(predictions))
        await asyncio.sleep(0)
        usable = self.gold["status"] == "ok"
        answers = {n: self._answer(sql) for n, sql in enumerate(predictions)} if usable else {}
        return Judged({0: self.gold}, answers)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_a_verdict_is_found_once_and_then_known() -> None:
    async def main() -> tuple[Answers, Answers]:
        first = await cache.answers(_key(), ["a", "b"], worker)
        return first, await cache.answers(_key(), ["b", "c"], worker)

    cache, worker = VerdictCache(MEGABYTE), Worker()
    first, second = _run(main())
    assert worker.asked == [["a", "b"], ["c"]]
    assert (first.kept, second.kept) == (frozenset(), frozenset({"b"}))
    assert set(second.predictions) == {"b", "c"}
    assert cache.hits == 1


def test_nothing_runs_where_all_is_known() -> None:
    async def main() -> Answers:
        await cache.answers(_key(), ["a"], worker)
        return await cache.answers(_key(), ["a"], worker)

    cache, worker = VerdictCache(MEGABYTE), Worker()
    known = _run(main())
    assert worker.asked == [["a"]]
    assert known.golds[0]["cached"]
    assert cache.gold_s(_key()) == 0.005
    assert cache.gold_s(_key("other")) == 0.0


def test_no_predictions_still_run_the_gold_once() -> None:
    async def main() -> Answers:
        await cache.answers(_key(), [], worker)
        return await cache.answers(_key(), [], worker)

    cache, worker = VerdictCache(MEGABYTE), Worker()
    assert _run(main()).golds[0]["status"] == "ok"
    assert worker.asked == [[]]


@pytest.mark.parametrize("field", GroupKey._fields)
def test_whatever_a_verdict_depends_on_makes_another_group(field: str) -> None:
    other: dict[str, Any] = {
        "database_sha256": "1", "golds": ("x",), "metrics": ("strict",), "timeout_s": 2.0,
        "gold_timeout_s": 2.0, "diff_rows": 4,
    }  # fmt: skip

    async def main() -> None:
        await cache.answers(_key(), ["a"], worker)
        await cache.answers(_key()._replace(**{field: other.get(field, "other")}), ["a"], worker)

    cache, worker = VerdictCache(MEGABYTE), Worker()
    _run(main())
    assert worker.asked == [["a"], ["a"]]


@pytest.mark.parametrize(
    "answer", [_answer("timeout"), _answer("infra_error"), _answer(volatile=True)]
)
def test_what_another_run_might_answer_otherwise_is_never_kept(answer: dict[str, Any]) -> None:
    async def main() -> list[Answers]:
        return [await cache.answers(_key(), ["a"], worker) for _ in range(2)]

    cache, worker = VerdictCache(MEGABYTE), Worker(lambda sql: answer)
    found = _run(main())
    assert worker.asked == [["a"], ["a"]]
    assert [one.predictions["a"] for one in found] == [answer, answer]
    assert not found[1].kept


@pytest.mark.parametrize(
    ("status", "times"), [("exec_error", 1), ("timeout", 2), ("infra_error", 2)]
)
def test_a_gold_that_fails_is_known_unless_it_might_do_better(status: str, times: int) -> None:
    async def main() -> None:
        for _ in range(2):
            found = await cache.answers(_key(), ["a"], worker)
            assert (found.golds[0]["status"], found.predictions) == (status, {})

    cache, worker = VerdictCache(MEGABYTE), Worker()
    worker.gold = {"status": status, "elapsed_ms": 1.0}
    _run(main())
    assert len(worker.asked) == times


def test_its_bytes_are_bounded_and_the_group_used_least_recently_leaves() -> None:
    async def main() -> None:
        for gold in "abc":
            await cache.answers(_key(gold), ["x"], worker)
        await cache.answers(_key("a"), ["x"], worker)  # used again
        await cache.answers(_key("d"), ["x"], worker)
        for gold in "acdb":
            await cache.answers(_key(gold), ["x"], worker)
            assert cache.bytes <= 8000

    cache, worker = VerdictCache(8000), Worker()
    _run(main())
    assert len(worker.asked) == 5  # a b c d, and b again


def test_long_statements_and_differences_count() -> None:
    def sizes(sql: str, **rest: Any) -> int:
        cache = VerdictCache(MEGABYTE)
        asyncio.run(cache.answers(_key(), [sql], Worker(lambda _: _answer(**rest))))
        return cache.bytes

    small = sizes("a")
    assert sizes("a" * 10_000) >= small + 9_999
    rows = [["y" * 80] * 8] * 3  # as bounded as differences are
    assert sizes("a", diff={"missing_rows": rows, "extra_rows": rows}) >= small + 3000
    wide = VerdictCache(MEGABYTE)
    asyncio.run(wide.answers(_key("g" * 10_000), ["a"], Worker()))
    assert wide.bytes >= small + 9_000


def test_a_group_larger_than_all_room_is_answered_and_not_kept() -> None:
    async def main() -> None:
        for _ in range(2):
            found = await cache.answers(_key(), [str(n) for n in range(50)], worker)
            assert len(found.predictions) == 50
            assert cache.bytes <= 5000

    cache, worker = VerdictCache(5000), Worker()
    _run(main())
    assert len(worker.asked) == 2


def test_no_room_keeps_nothing_and_still_answers() -> None:
    async def main() -> None:
        for _ in range(2):
            assert (await cache.answers(_key(), ["a"], worker)).predictions == {"a": _answer()}

    cache, worker = VerdictCache(0), Worker()
    _run(main())
    assert (worker.asked, cache.bytes) == ([["a"], ["a"]], 0)


class Gate:
    """Work that waits until it is let through, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.open = asyncio.Event(), asyncio.Event()
        self.worker, self.error = Worker(), error

    async def __call__(self, predictions: Sequence[str]) -> Judged:
        self.begun.set()
        await self.open.wait()
        if self.error:
            raise self.error
        return await self.worker(predictions)


def test_a_prediction_under_way_is_waited_for_and_only_the_others_run() -> None:
    async def main() -> None:
        gate = Gate()
        first = asyncio.create_task(cache.answers(_key(), ["a", "b"], gate))
        await gate.begun.wait()
        second = asyncio.create_task(cache.answers(_key(), ["b", "c"], worker))
        third = asyncio.create_task(cache.answers(_key(), ["a"], worker))
        await asyncio.sleep(0.01)
        assert not second.done()
        assert not third.done()
        gate.open.set()
        await asyncio.gather(first, second, third)
        assert set(second.result().predictions) == {"b", "c"}
        assert third.result().predictions == {"a": _answer()}
        assert third.result().golds[0]["status"] == "ok"
        assert gate.worker.asked == [["a", "b"]]

    cache, worker = VerdictCache(MEGABYTE), Worker()
    _run(main())
    assert worker.asked == [["c"]]


@pytest.mark.parametrize("room", [0, MEGABYTE])
def test_those_who_wait_get_what_is_not_kept_too(room: int) -> None:
    async def main() -> None:
        gate = Gate()
        first = asyncio.create_task(cache.answers(_key(), ["a"], gate))
        await gate.begun.wait()
        second = asyncio.create_task(cache.answers(_key(), ["a"], worker))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, second)
        assert second.result().predictions == {"a": _answer()}

    cache, worker = VerdictCache(room), Worker()
    _run(main())
    # With no room the group has left at once: nobody can know that it runs.
    assert worker.asked == ([["a"]] if room == 0 else [])


def test_who_waits_for_work_that_fails_is_told_at_once() -> None:
    async def main() -> None:
        gate = Gate(NoFreeWorker("full"))
        owner = asyncio.create_task(cache.answers(_key(), ["a"], gate))
        await gate.begun.wait()
        others = [asyncio.create_task(cache.answers(_key(), ["a"], worker)) for _ in range(3)]
        await asyncio.sleep(0)
        gate.open.set()
        ended = await asyncio.gather(owner, *others, return_exceptions=True)
        assert [type(end) for end in ended] == [NoFreeWorker] * 4

    cache, worker = VerdictCache(MEGABYTE), Worker()
    _run(main())
    assert worker.asked == []


def test_when_the_one_who_works_gives_up_one_of_those_who_wait_does_the_work() -> None:
    async def main() -> None:
        gate = Gate(None)
        owner = asyncio.create_task(cache.answers(_key(), ["a"], gate))
        await gate.begun.wait()
        others = [asyncio.create_task(cache.answers(_key(), ["a"], worker)) for _ in range(3)]
        await asyncio.sleep(0)
        owner.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await owner
        for found in await asyncio.gather(*others):
            assert found.predictions == {"a": _answer()}

    cache, worker = VerdictCache(MEGABYTE), Worker()
    _run(main())
    assert worker.asked == [["a"]]


def test_one_who_waits_may_give_up_and_the_work_goes_on() -> None:
    async def main() -> None:
        gate = Gate()
        owner = asyncio.create_task(cache.answers(_key(), ["a"], gate))
        await gate.begun.wait()
        other = asyncio.create_task(cache.answers(_key(), ["a"], worker))
        await asyncio.sleep(0)
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other
        gate.open.set()
        assert (await owner).predictions == {"a": _answer()}

    cache, worker = VerdictCache(MEGABYTE), Worker()
    _run(main())
    assert worker.asked == []


def test_a_gold_that_fails_under_way_is_shared_too() -> None:
    async def main() -> None:
        gate = Gate()
        gate.worker.gold = {"status": "exec_error", "elapsed_ms": 1.0}
        owner = asyncio.create_task(cache.answers(_key(), ["a"], gate))
        await gate.begun.wait()
        other = asyncio.create_task(cache.answers(_key(), ["a"], worker))
        await asyncio.sleep(0)
        gate.open.set()
        found = await asyncio.gather(owner, other)
        assert [one.golds[0]["status"] for one in found] == ["exec_error"] * 2

    cache, worker = VerdictCache(MEGABYTE), Worker()
    _run(main())
    assert worker.asked == []


SLOW = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000) "
    "SELECT max(x) FROM c"
)


def _asked_twice(registry: DatabaseRegistry, policy: Policy, *sqls: str) -> list[list[bool]]:
    """Whether each verdict was known, of two equal requests that are under way together."""

    async def main() -> list[list[bool]]:
        limits = Limits(query_timeout_s=20, gold_timeout_s=20)
        async with Executor(workers=2, limits=limits) as executor:
            verifier = Verifier(registry, executor, policy)
            task = VerifyTask("shop", ("SELECT 2000000",), sqls)
            reports = await asyncio.gather(*(verifier.verify(task) for _ in range(2)))
            assert all(v.status == "match" for report in reports for v in report.verdicts)
            again = await verifier.verify(task)
            return [[v.cached for v in report.verdicts] for report in [*reports, again]]

    return asyncio.run(main())


def test_equal_requests_in_flight_are_run_once_for_real(registry: DatabaseRegistry) -> None:
    sqls = (SLOW, f"{SLOW} -- other")
    found = _asked_twice(registry, Policy(), *sqls)
    assert found == [[False] * 2, [False] * 2, [True] * 2]


def test_a_service_without_room_runs_everything_for_real(registry: DatabaseRegistry) -> None:
    found = _asked_twice(registry, Policy(cache_bytes=0), SLOW)
    assert found == [[False]] * 3


def test_a_statement_that_asks_for_chance_is_run_each_time_for_real(
    registry: DatabaseRegistry,
) -> None:
    sql = "SELECT 2000000 + 0 * abs(random() % 2)"
    assert _asked_twice(registry, Policy(), sql) == [[False]] * 3
