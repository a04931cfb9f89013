"""The store of the loop and the queue before it, on SQLite and on PostgreSQL."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from service.errors import Conflict, FeedbackOff, SettingsError, Unavailable, UnknownAnswer
from service.feedback.answers import Answers
from service.feedback.known import Known
from service.feedback.records import AnswerRecord, Given, Outcome, Proof
from service.feedback.store import MAX_STATEMENTS, FeedbackStore
from tests.fixtures_stores import sqlite_at

T = TypeVar("T")


def answer(request_id: str = "r1", **fields: Any) -> AnswerRecord:
    values: dict[str, Any] = {
        "db_id": "shop", "database_sha256": "a" * 64, "question": f"What is {request_id}?",
        "evidence": "", "sql": "SELECT 1", "status": "ok", "model": "m", "prompt_sha256": "b" * 64,
    }  # fmt: skip
    return AnswerRecord(request_id, **values | fields)


def proof(sql: str = "SELECT 1") -> Proof:
    return Proof(sql, "a" * 64, ("t", "t.c"))


def confirm(request_id: str = "r1", by: str | None = None) -> Given:
    return Given(request_id, "positive", by=by)


def with_store(url: str, use: Callable[[FeedbackStore], Awaitable[T]]) -> T:
    async def main() -> T:
        store = FeedbackStore(url)
        await store.open()
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_an_answer_comes_back_as_it_was(store_url: str) -> None:
    kept = answer(question="Où ça? 'é'\n\t", verified_query_id="vq_1", follow_up=True)

    async def use(store: FeedbackStore) -> list[AnswerRecord | None]:
        await store.remember([kept, answer("r2", sql=None)])
        return [await store.answer(name) for name in ("r1", "r2", "r3")]

    first, second, none = with_store(store_url, use)
    assert first == kept
    assert second is not None
    assert (second.sql, none) == (None, None)


def test_any_text_can_be_stored(store_url: str) -> None:
    odd = answer(question="\0 \ud800", sql="SELECT '\0\udfff'", model="\0")

    async def use(store: FeedbackStore) -> AnswerRecord | None:
        await store.remember([odd, answer("r2", sql="x" * 100_001)])
        huge = await store.answer("r2")
        assert huge is not None
        assert huge.sql is None
        return await store.answer("r1")

    found = with_store(store_url, use)
    assert found is not None
    assert (found.question, found.model) == ("\ufffd ?", "\ufffd")


def test_the_later_answer_with_one_request_id_is_kept(store_url: str) -> None:
    async def use(store: FeedbackStore) -> AnswerRecord | None:
        await store.remember([answer(question="old")])
        await store.remember([answer(question="new")])
        return await store.answer("r1")

    found = with_store(store_url, use)
    assert found is not None
    assert found.question == "new"


def test_old_answers_are_forgotten_by_number_and_age(store_url: str) -> None:
    async def use(store: FeedbackStore) -> list[list[bool]]:
        now = time.time()
        names = [f"r{n}" for n in range(5)]
        await store.remember([answer(name, created_at=now - n) for n, name in enumerate(names)])
        seen = []
        for before, keep in ((now - 100, 10), (now - 100, 3), (now - 0.5, 3)):
            await store.forget(before=before, keep=keep)
            seen.append([await store.answer(name) is not None for name in names])
        return seen

    assert with_store(store_url, use) == [
        [True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4
    ]  # fmt: skip


def test_many_statements_at_once_are_numbered_and_one_query_holds(store_url: str) -> None:
    async def use(store: FeedbackStore) -> tuple[list[int], int, set[str]]:
        first = answer()
        await store.remember([first])
        # A store that has had enough of us says so; then the statement is given again.
        gave = await asyncio.gather(*(patiently(store, first, f"key{n}") for n in range(12)))
        numbers = sorted(outcome.feedback.number for outcome in gave)
        queries = await store.verified_page(limit=100)
        return numbers, len(queries), {query.feedback_id for query in queries}

    async def patiently(store: FeedbackStore, first: AnswerRecord, key: str) -> Outcome:
        while True:
            try:
                return await store.give(first, confirm(by=key), proof())
            except Conflict:
                await asyncio.sleep(0)

    numbers, live, holders = with_store(store_url, use)
    assert (numbers, live, len(holders)) == (list(range(1, 13)), 1, 1)


def test_the_same_statement_at_once_is_one(store_url: str) -> None:
    async def use(store: FeedbackStore) -> set[str]:
        first = answer()
        await store.remember([first])
        tries = (store.give(first, confirm(), proof()) for _ in range(5))
        return {outcome.feedback.id for outcome in await asyncio.gather(*tries)}

    assert len(with_store(store_url, use)) == 1


def test_statements_on_one_answer_have_a_bound(store_url: str) -> None:
    async def use(store: FeedbackStore) -> int:
        for n in range(MAX_STATEMENTS):
            await store.give(answer(id="an_1"), Given("r1", "negative", comment=str(n)), None)
        with pytest.raises(Conflict, match="100 statements"):
            await store.give(answer(id="an_1"), Given("r1", "negative"), None)
        return len(await store.page(limit=1000))

    assert with_store(store_url, use) == MAX_STATEMENTS


def test_pages_hold_every_verified_query_once(store_url: str) -> None:
    async def use(store: FeedbackStore) -> tuple[list[str], list[str]]:
        made = [
            await store.give(answer(f"r{n}"), confirm(f"r{n}"), proof(f"SELECT {n}"))
            for n in range(7)
        ]
        after, seen = None, []
        while page := await store.verified_page(limit=3, after=after, db_id="shop"):
            seen += [query.sql for query in page]
            after = page[-1].id
        return [outcome.feedback.question for outcome in made], seen

    questions, seen = with_store(store_url, use)
    assert seen == [f"SELECT {n}" for n in reversed(range(7))]
    assert len(questions) == 7


def test_marks_change_with_what_is_verified(store_url: str) -> None:
    async def use(store: FeedbackStore) -> list[Any]:
        first = answer()
        seen: list[Any] = [await store.marks()]
        outcome = await store.give(first, confirm(), proof())
        seen.append(await store.marks())
        await store.give(first, Given("r1", "negative"), None)
        seen.append(await store.marks())
        again = await store.give(first, confirm(), proof())
        seen.append(await store.marks())
        assert again.verified_query is not None
        await store.delete(again.verified_query.id)
        seen.append(await store.marks())
        assert outcome.verified_query is not None
        return seen

    seen = with_store(store_url, use)
    assert seen[0] == {}
    assert all(one != other for n, one in enumerate(seen) for other in seen[:n])


def test_known_follows_what_another_service_writes(store_url: str) -> None:
    async def use(store: FeedbackStore) -> list[bool]:
        known = Known(store, refresh_s=0.01)
        await known.start()
        seen = []
        try:
            await store.give(answer(), confirm(), proof())
            seen.append(await until(lambda: len(known) == 1))
            await store.give(answer(), Given("r1", "negative"), None)
            seen.append(await until(lambda: len(known) == 0))
        finally:
            await known.close()
        return seen

    assert with_store(store_url, use) == [True, True]


async def until(look: Callable[[], bool]) -> bool:
    """True once it is so, False after 20 s."""
    deadline = time.monotonic() + 20
    while not look() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return look()


def test_a_waiting_answer_is_known_at_once_and_written_in_the_end(tmp_path: Path) -> None:
    async def use(store: FeedbackStore) -> tuple[str, int, bool]:
        answers = Answers(store, keep=10, keep_s=60)
        answers.start()
        answers.record(answer())
        found = await answers.get("r1")
        answers.record(answer("r2"))
        await answers.close()
        return found.question, answers.waiting, await store.answer("r2") is not None

    assert with_store(sqlite_at(tmp_path), use) == ("What is r1?", 0, True)


def test_a_full_queue_drops_its_oldest_and_counts_it(tmp_path: Path) -> None:
    async def use(store: FeedbackStore) -> tuple[int, int, list[bool]]:
        answers = Answers(store, keep=10, keep_s=60, queue=3)  # not started: nothing is written
        for name in ("r0", "r1", "r2", "r0", "r3"):
            answers.record(answer(name))
        waiting = answers.waiting
        answers.start()
        await answers.close()
        kept = [await store.answer(f"r{n}") is not None for n in range(4)]
        return answers.dropped, waiting, kept

    assert with_store(sqlite_at(tmp_path), use) == (1, 3, [True, False, True, True])


def test_what_is_kept_stays_near_its_bound(tmp_path: Path) -> None:
    async def use(store: FeedbackStore) -> int:
        answers = Answers(store, keep=10, keep_s=60)
        answers.start()
        for n in range(100):
            answers.record(answer(f"r{n}"))
        await answers.get("r99")
        answers.record(answer("r100"))  # what comes next finds that too many are there
        await answers.close()
        return sum([await store.answer(f"r{n}") is not None for n in range(101)])

    assert with_store(sqlite_at(tmp_path), use) <= 11


def test_a_store_that_fails_loses_nothing_that_waits(tmp_path: Path) -> None:
    async def main() -> tuple[int, bool]:
        store = FeedbackStore(sqlite_at(tmp_path), busy_timeout_s=0.05)
        await store.open()
        answers = Answers(store, keep=10, keep_s=60)
        try:
            answers.record(answer())
            with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(Unavailable, match="locked by another"):
                    await answers.get("r1")
                waiting = answers.waiting
            return waiting, await answers.get("r1") is not None
        finally:
            await store.close()

    assert asyncio.run(main()) == (1, True)


def test_without_keeping_nothing_is_remembered(tmp_path: Path) -> None:
    async def use(store: FeedbackStore) -> int:
        answers = Answers(store, keep=0, keep_s=60)
        answers.start()
        answers.record(answer())
        with pytest.raises(FeedbackOff):
            await answers.get("r1")
        await answers.close()
        return answers.waiting

    assert with_store(sqlite_at(tmp_path), use) == 0


def test_an_unknown_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownAnswer, match="'r9'"):
        with_store(sqlite_at(tmp_path), lambda store: Answers(store, keep=1, keep_s=60).get("r9"))


def test_a_store_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"must be sqlite\+aiosqlite:///FILE or postgresql"):
        FeedbackStore("mysql://h/d")


def test_two_services_may_start_at_once(store_url: str) -> None:
    async def main() -> list[None]:
        stores = [FeedbackStore(store_url) for _ in range(4)]
        opened = await asyncio.gather(*(store.open() for store in stores))
        await asyncio.gather(*(store.close() for store in stores))
        return opened

    assert len(asyncio.run(main())) == 4
