"""The sandbox under attack: each test tries one thing, and then an honest query must still work."""

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.errors import DatabaseUnusable, NoFreeWorker, Unavailable
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.sandbox.result import QueryResult

LIMITS = Limits(query_timeout_s=1.0, gold_timeout_s=1.0, kill_grace_s=0.3, memory_mb=512)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
# One function call that runs for seconds between two looks at the clock: only a kill stops it.
UNSTOPPABLE = "SELECT instr(printf('%.*c', 6000000, 'a'), printf('%.*c', 3000000, 'a') || 'b')"

Use = Callable[[Executor], Awaitable[Any]]


def _run(use: Use, limits: Limits = LIMITS, **settings: Any) -> Any:
    async def main() -> Any:
        async with Executor(workers=1, limits=limits, **settings) as executor:
            return await use(executor)

    return asyncio.run(main())


def _query(executor: Executor, path: Path, sql: str) -> Coroutine[Any, Any, QueryResult]:
    return executor.query(path, sql, timeout_s=1.0, max_rows=100)


async def _honest(executor: Executor, path: Path) -> bool:
    sql = "SELECT count(*) FROM customer"
    result = await executor.query(path, sql, timeout_s=30, max_rows=1)
    return result.rows == [[4]]


def _hash(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_rows_come_with_names_and_values(shop: Path) -> None:
    sql = "SELECT id, name, city, x'ff' AS b FROM customer WHERE id > 2 ORDER BY id"
    result = _run(lambda e: _query(e, shop, sql))
    assert result.columns == ["id", "name", "city", "b"]
    assert result.rows == [[3, "Cleo", None, {"blob": "ff"}], [4, "Dan", "Rome", {"blob": "ff"}]]
    assert (result.status, result.truncated) == ("ok", False)


def test_rows_and_bytes_are_cut_and_said_to_be(shop: Path) -> None:
    async def use(executor: Executor) -> list[QueryResult]:
        sql = "SELECT name FROM customer ORDER BY id"
        return [
            await executor.query(shop, sql, timeout_s=1, max_rows=2),
            await executor.query(shop, sql, timeout_s=1, max_rows=9, max_bytes=20),
            await executor.query(shop, sql, timeout_s=1, max_rows=4),
        ]

    by_rows, by_bytes, whole = _run(use)
    assert (by_rows.rows, by_rows.truncated) == ([["Ada"], ["Bob"]], True)
    assert (by_bytes.rows, by_bytes.truncated) == ([["Ada"]], True)
    assert (len(whole.rows), whole.truncated) == (4, False)


def test_the_names_of_columns_and_what_json_makes_of_letters_count_as_bytes(shop: Path) -> None:
    def named(columns: int, letters: int) -> str:
        repeated = ", ".join(["t.*"] * columns)
        return f"""WITH t AS (SELECT 1 AS "{"n" * letters}") SELECT {repeated} FROM t"""

    async def use(executor: Executor) -> list[Any]:
        sqls = [named(2000, 1000), named(2000, 100_000), named(1, 100_000)]
        sqls += ["SELECT replace(hex(zeroblob(300000)), '0', char(8364))"]
        found = [await executor.query(shop, sql, timeout_s=60, max_rows=100) for sql in sqls]
        assert await _honest(executor, shop)
        assert executor.replaced == 0
        return [(result.status, len(result.rows), result.truncated) for result in found]

    too_large = ("too_large", 0, False)
    assert _run(use) == [too_large, too_large, ("ok", 1, False), ("ok", 0, True)]


@pytest.mark.parametrize("texts", ["ab", '"', "\\", "\x7f\n", 'a"\t \\b', "é", "a€"])
def test_rows_are_sent_if_and_only_if_their_json_fits(shop: Path, texts: str) -> None:
    row = [texts * 800, texts, 1.5, None]
    codes = ", ".join(str(ord(letter)) for letter in texts)
    sql = f"""SELECT replace(printf('%.*c', 800, 'x'), 'x', char({codes})), char({codes}), 1.5, NULL
        FROM (SELECT 1)"""
    room = len(json.dumps(["t", "u", "v", "w"])) + len(json.dumps(row))
    named = f"WITH r(t, u, v, w) AS ({sql}) SELECT * FROM r"

    async def use(executor: Executor) -> list[QueryResult]:
        return [
            await executor.query(shop, named, timeout_s=30, max_rows=9, max_bytes=room - less)
            for less in (0, 1)
        ]

    fits, cut = _run(use)
    assert (fits.rows, fits.truncated) == ([row], False)
    assert (cut.rows, cut.truncated) == ([], True)


HOSTILE = {
    "DELETE FROM customer": "forbidden",
    "UPDATE customer SET name = 'x'": "forbidden",
    "INSERT INTO customer VALUES (9, 'x', 'y', 'z')": "forbidden",
    "REPLACE INTO customer VALUES (1, 'x', 'y', 'z')": "forbidden",
    "WITH c AS (SELECT 1) DELETE FROM customer": "forbidden",
    "DELETE FROM customer RETURNING id": "forbidden",
    "DROP TABLE customer": "forbidden",
    "ALTER TABLE customer RENAME TO c": "forbidden",
    "CREATE TABLE t (a)": "forbidden",
    "CREATE TEMP TABLE customer AS SELECT 1": "forbidden",
    "CREATE TEMP VIEW customer AS SELECT 1": "forbidden",
    "ATTACH DATABASE '{tmp}/evil.db' AS evil": "forbidden",
    "VACUUM": "forbidden",
    "VACUUM INTO '{tmp}/copy.db'": "forbidden",
    "PRAGMA writable_schema = ON": "forbidden",
    "PRAGMA query_only = OFF": "forbidden",
    "PRAGMA journal_mode = DELETE": "forbidden",
    "PRAGMA case_sensitive_like = ON": "forbidden",
    "BEGIN": "forbidden",
    "COMMIT": "forbidden",
    "SAVEPOINT s": "forbidden",
    "REINDEX": "no_sql",
    "ANALYZE": "forbidden",
    "SELECT load_extension('x')": "forbidden",
    "SELECT 1; DROP TABLE customer": "forbidden",
    "SELECT 1; SELECT 2": "forbidden",
    "SELECT writefile('{tmp}/f', 'x')": "exec_error",
    "SELECT nickname FROM customer": "exec_error",
    "SELEC 1": "syntax_error",
    "SELECT 'open": "syntax_error",
    "SELECT 1\x00 DROP": "syntax_error",
    "": "no_sql",
    "-- only a comment": "no_sql",
    "/* only a comment */ ;": "no_sql",
    "SELECT zeroblob(100000000)": "too_large",
    "SELECT replace(printf('%.*c', 20000000, 'a'), 'a', 'bbbb')": "ok",  # NULL, at once
    "SELECT hex(randomblob(16000000))": "too_large",
    ENDLESS: "timeout",
    UNSTOPPABLE: "timeout",
}


def test_hostile_statements_change_nothing_and_the_next_query_works(
    shop: Path, tmp_path: Path
) -> None:
    before = _hash(shop.parent)

    async def use(executor: Executor) -> dict[str, str]:
        found = {}
        for sql in HOSTILE:
            result = await _query(executor, shop, sql.replace("{tmp}", str(tmp_path)))
            found[sql] = result.status
            assert await _honest(executor, shop), sql
        return found

    assert _run(use) == HOSTILE
    assert _hash(shop.parent) == before
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_an_unstoppable_function_ends_at_the_deadline(shop: Path) -> None:
    async def use(executor: Executor) -> tuple[QueryResult, float, list[int], list[int]]:
        before, start = executor.pids(), time.monotonic()
        result = await _query(executor, shop, UNSTOPPABLE)
        elapsed = time.monotonic() - start
        assert await _honest(executor, shop)
        async with asyncio.timeout(10):  # spare workers serve while the late one is replaced
            while set(before) <= set(executor.pids()):
                await asyncio.sleep(0.01)
        return result, elapsed, before, executor.pids()

    result, elapsed, before, after = _run(use)
    assert result.status == "timeout"
    assert elapsed < 5
    assert set(before) - set(after)
    assert not psutil.pid_exists(before[0])


def test_deep_nesting_and_wide_selects_are_values(shop: Path) -> None:
    async def use(executor: Executor) -> list[str]:
        deep = "SELECT " + "(" * 5000 + "1" + ")" * 5000
        wide = "SELECT " + ", ".join(["1"] * 3000)
        long = "SELECT 1 --" + "x" * 1_100_000
        found = [(await _query(executor, shop, sql)).status for sql in (deep, wide, long)]
        assert await _honest(executor, shop)
        return found

    assert _run(use) == ["exec_error", "exec_error", "too_large"]


def test_a_worker_killed_while_idle_or_busy_loses_no_request(shop: Path) -> None:
    async def use(executor: Executor) -> QueryResult:
        os.kill(executor.pids()[0], signal.SIGKILL)
        assert await _honest(executor, shop)
        slow = asyncio.create_task(
            executor.query(
                shop, ENDLESS.replace("FROM c)", "FROM c LIMIT 3000000)"), timeout_s=30, max_rows=1
            )
        )
        while not executor.busy:
            await asyncio.sleep(0)
        os.kill(executor.pids()[0], signal.SIGKILL)
        return await slow

    assert _run(use).rows == [[3000000]]


def test_a_caller_that_goes_away_frees_its_worker(shop: Path) -> None:
    async def use(executor: Executor) -> bool:
        waiting = asyncio.create_task(executor.query(shop, ENDLESS, timeout_s=600, max_rows=1))
        while not executor.busy:
            await asyncio.sleep(0)
        waiting.cancel()
        return await asyncio.wait_for(_honest(executor, shop), timeout=10)

    assert _run(use)


def test_a_full_queue_is_refused_with_a_time_to_come_back(shop: Path) -> None:
    async def use(executor: Executor) -> float | None:
        slow = asyncio.create_task(_query(executor, shop, ENDLESS))
        while not executor.busy:
            await asyncio.sleep(0)
        with pytest.raises(NoFreeWorker) as caught:
            await _query(executor, shop, "SELECT 1")
        await slow
        return caught.value.retry_after_s

    assert _run(use, max_queued=0)


def test_waiting_for_a_worker_ends(shop: Path) -> None:
    async def use(executor: Executor) -> None:
        slow = asyncio.create_task(_query(executor, shop, ENDLESS))
        while not executor.busy:
            await asyncio.sleep(0)
        with pytest.raises(NoFreeWorker, match="within"):
            await _query(executor, shop, "SELECT 1")
        await slow

    _run(use, queue_timeout_s=0.05)


def test_nothing_is_left_after_close(shop: Path) -> None:
    pids = _run(lambda executor: _left(executor, shop))
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def _left(executor: Executor, path: Path) -> list[int]:
    await _query(executor, path, UNSTOPPABLE)
    return executor.pids()


def test_a_worker_has_no_environment_and_can_write_no_file(shop: Path) -> None:
    async def use(executor: Executor) -> tuple[dict[str, str], Any]:
        process = psutil.Process(executor.pids()[0])
        return process.environ(), process.rlimit(psutil.RLIMIT_FSIZE)

    environment, file_size = _run(use)
    assert set(environment) <= {"LC_CTYPE"}  # set by the interpreter itself
    assert file_size == (0, 0)


def test_a_worker_that_cannot_start_is_said_at_start() -> None:
    with pytest.raises(Unavailable, match="VERISQL_WORKER_MEMORY_MB=0"):
        _run(lambda e: asyncio.sleep(0), limits=Limits(memory_mb=0))


def test_memory_beyond_the_limit_is_a_value(shop: Path) -> None:
    sql = ENDLESS.replace("FROM c)", "FROM c LIMIT 20000000)").replace("count(*)", "x")
    limits = Limits(query_timeout_s=20, memory_mb=256)

    async def use(executor: Executor) -> QueryResult:
        result = await executor.query(shop, sql + " ORDER BY -x", timeout_s=20, max_rows=1)
        assert await _honest(executor, shop)
        return result

    assert _run(use, limits=limits).status == "too_large"


def test_a_replaced_file_is_read_anew_and_a_missing_one_named(shop: Path) -> None:
    async def use(executor: Executor) -> None:
        assert await _honest(executor, shop)
        other = shop.with_suffix(".new")
        other.write_bytes(shop.read_bytes().replace(b"Ada", b"Eva"))
        other.replace(shop)
        result = await _query(executor, shop, "SELECT name FROM customer WHERE id = 1")
        assert result.rows == [["Eva"]]
        shop.unlink()
        with pytest.raises(DatabaseUnusable, match="shop"):
            await _query(executor, shop, "SELECT 1")

    _run(use)


def test_a_corrupt_file_is_not_the_fault_of_the_query(shop: Path) -> None:
    shop.write_bytes(shop.read_bytes()[:4096] + b"\xff" * 8192)
    result = _run(lambda e: _query(e, shop, "SELECT * FROM customer"))
    assert result.status == "infra_error"


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT value FROM json_each('[1,2]')", [[1], [2]]),
        ("SELECT name FROM pragma_table_info('orders') LIMIT 2", [["id"], ["customer_id"]]),
        ("SELECT word FROM words WHERE words MATCH 'one'", [["one two"]]),
    ],
)
def test_virtual_tables_can_be_read(shop: Path, sql: str, rows: list[list[Any]]) -> None:
    with closing(sqlite3.connect(shop)) as connection:
        connection.executescript(
            "CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('one two');"
        )
    assert _run(lambda e: _query(e, shop, sql)).rows == rows


def test_close_leaves_nobody_waiting(shop: Path) -> None:
    async def main() -> list[object]:
        executor = Executor(workers=1, limits=LIMITS)
        await executor.start()
        tasks = [asyncio.create_task(_query(executor, shop, ENDLESS)) for _ in range(3)]
        while executor.queued < 2:
            await asyncio.sleep(0)
        await executor.close()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            with pytest.raises(Unavailable, match="stopping"):
                await _query(executor, shop, "SELECT 1")
        assert executor.pids() == []
        return list(ended)

    assert all(isinstance(end, Unavailable) for end in asyncio.run(main()))


def test_an_answer_that_came_in_time_counts_although_we_were_busy(shop: Path) -> None:
    async def use(executor: Executor) -> QueryResult:
        asked = asyncio.create_task(_query(executor, shop, "SELECT 7"))
        while not executor.busy:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(2)  # noqa: ASYNC251 - the event loop is held up for longer than the deadline
        return await asked

    assert _run(use).rows == [[7]]


def test_describe_names_tables_and_columns_without_running(shop: Path) -> None:
    sql = (
        "WITH r AS (SELECT id AS i FROM customer WHERE city = 'Rome') "
        "SELECT sum(o.amount) FROM orders AS o JOIN r ON r.i = o.customer_id"
    )
    described = _run(lambda e: e.describe(shop, sql))
    assert described.tables == ["customer", "orders"]
    assert described.columns == [
        "customer.city", "customer.id", "orders.amount", "orders.customer_id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        (ENDLESS, "ok"),
        ("SELECT x FROM customer", "exec_error"),
        ("DROP TABLE customer", "forbidden"),
        ("SELECT 1; SELECT 2", "forbidden"),
    ],
)
def test_describe_compiles_only(shop: Path, sql: str, status: str) -> None:
    assert _run(lambda e: e.describe(shop, sql)).status == status
