"""The verifier on a real database: what each kind of prediction earns."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import UnknownDatabase
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.types import VerifyReport, VerifyTask
from service.text2sql.verifier import Verifier

LIMITS = Limits(query_timeout_s=0.5, gold_timeout_s=0.5, kill_grace_s=0.3)
GOLD = "SELECT name FROM customer WHERE city = 'Rome'"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
UNSTOPPABLE = "SELECT instr(printf('%.*c', 6000000, 'a'), printf('%.*c', 3000000, 'a') || 'b')"

EARNS = {
    GOLD: ("match", 1.0),
    "select c.name from customer c where c.city like 'rome'": ("match", 1.0),
    "SELECT name FROM customer": ("mismatch", 0.0),
    "SELECT name, city FROM customer WHERE city = 'Rome'": ("mismatch", 0.0),
    "SELECT nme FROM customer": ("exec_error", 0.0),
    "SELECT name FROM": ("syntax_error", 0.0),
    "DELETE FROM customer": ("forbidden", 0.0),
    "CREATE TEMP TABLE customer AS SELECT 'Bob' AS name": ("forbidden", 0.0),
    f"{GOLD}; SELECT 1": ("forbidden", 0.0),
    "": ("no_sql", 0.0),
    "-- nothing": ("no_sql", 0.0),
    ENDLESS: ("timeout", 0.0),
    UNSTOPPABLE: ("timeout", 0.0),
    "SELECT zeroblob(900000000)": ("too_large", 0.0),
}


def _verify(registry: DatabaseRegistry, *tasks: VerifyTask, workers: int = 1) -> list[VerifyReport]:
    async def main() -> list[VerifyReport]:
        async with Executor(workers=workers, limits=LIMITS) as executor:
            verifier = Verifier(registry, executor)
            return [await verifier.verify(task) for task in tasks]

    return asyncio.run(main())


def _task(gold: str | tuple[str, ...], *predictions: str, **rest: Any) -> VerifyTask:
    golds = (gold,) if isinstance(gold, str) else gold
    return VerifyTask("shop", golds, predictions, **rest)


def test_each_kind_of_prediction_earns_its_reward_in_one_group(registry: DatabaseRegistry) -> None:
    [report] = _verify(registry, _task(GOLD, *EARNS))
    found = {p: (v.status, v.reward) for p, v in zip(EARNS, report.verdicts, strict=True)}
    assert found == EARNS
    assert not any(v.masked for v in report.verdicts)
    assert (report.gold.status, report.gold.rows, report.gold.columns) == ("ok", 2, 1)


@pytest.mark.parametrize(
    ("gold", "status"),
    [
        ("SELECT nme FROM customer", "gold_error"),
        ("DELETE FROM customer", "gold_error"),
        ("-- nothing", "gold_error"),
        (ENDLESS, "gold_timeout"),
        (UNSTOPPABLE, "gold_timeout"),
    ],
)
def test_a_gold_at_fault_masks_every_verdict(
    registry: DatabaseRegistry, gold: str, status: str
) -> None:
    [report] = _verify(registry, _task(gold, GOLD, "SELECT 1"))
    assert report.gold.status == status
    assert [(v.status, v.reward, v.masked) for v in report.verdicts] == [(status, None, True)] * 2
    assert report.gold.message


def test_any_of_several_golds_is_enough_and_a_broken_one_is_left_out(
    registry: DatabaseRegistry,
) -> None:
    golds = ("SELECT nme FROM customer", "SELECT 1", GOLD)
    [report] = _verify(registry, _task(golds, GOLD, "SELECT 1", "SELECT 2"))
    assert [v.status for v in report.verdicts] == ["match", "match", "mismatch"]
    assert report.gold.status == "ok"


def test_what_a_gold_that_took_too_long_might_have_matched_is_masked(
    registry: DatabaseRegistry,
) -> None:
    golds = ("SELECT 1", UNSTOPPABLE)
    [report] = _verify(registry, _task(golds, "SELECT 1", "SELECT 2"))
    assert [v.status for v in report.verdicts] == ["match", "gold_timeout"]
    assert report.verdicts[1].masked


def test_the_first_metric_decides_the_status(registry: DatabaseRegistry) -> None:
    gold = "SELECT city FROM customer ORDER BY id"
    other = "SELECT DISTINCT city FROM customer"
    both = _task(gold, other, metrics=("bird_ex", "strict"))
    turned = _task(gold, other, metrics=("strict", "bird_ex"))
    first, second = (report.verdicts[0] for report in _verify(registry, both, turned))
    assert first.metrics == second.metrics == {"bird_ex": 1.0, "strict": 0.0}
    assert (first.status, second.status) == ("match", "mismatch")


def test_an_empty_prediction_never_earns_even_where_the_gold_is_empty(
    registry: DatabaseRegistry,
) -> None:
    gold = "SELECT name FROM customer WHERE city = 'Oslo'"
    [report] = _verify(registry, _task(gold, "-- nothing", "SELECT 1 WHERE 0"))
    nothing, empty = report.verdicts
    assert (nothing.status, nothing.reward, nothing.metrics) == ("no_sql", 0.0, {"bird_ex": 1.0})
    assert empty.status == "match"
    assert set(empty.flags) == {"empty_equals_empty", "constant_only"}


def test_sql_is_taken_out_of_completions(registry: DatabaseRegistry) -> None:
    completion = f"Sure:\n```sql\n{GOLD};\n```\nDone."
    [report] = _verify(registry, _task(GOLD, completion, "I do not know.", extract="auto"))
    assert [v.status for v in report.verdicts] == ["match", "no_sql"]
    assert report.verdicts[0].sql == f"{GOLD};"
    assert report.verdicts[1].sql is None


def test_a_kept_gold_says_so_and_is_forgotten_when_the_file_changes(
    registry: DatabaseRegistry, shop: Path
) -> None:
    async def main() -> list[VerifyReport]:
        async with Executor(workers=1, limits=LIMITS) as executor:
            verifier = Verifier(registry, executor)
            task = _task("SELECT name FROM customer WHERE id = 1", "SELECT 'Eva'")
            reports = [await verifier.verify(task), await verifier.verify(task)]
            shop.write_bytes(shop.read_bytes().replace(b"Ada", b"Eva"))
            return [*reports, await verifier.verify(task)]

    first, second, third = asyncio.run(main())
    assert [r.gold.cached for r in (first, second, third)] == [False, True, False]
    assert [r.verdicts[0].status for r in (first, second, third)] == ["mismatch"] * 2 + ["match"]
    assert first.database_sha256 == second.database_sha256 != third.database_sha256


def test_a_gold_and_a_prediction_share_no_connection(registry: DatabaseRegistry) -> None:
    [report] = _verify(registry, _task("SELECT changes()", "SELECT total_changes()"))
    assert report.verdicts[0].status == "match"


def test_many_groups_at_once_keep_their_order(registry: DatabaseRegistry) -> None:
    async def main() -> list[VerifyReport]:
        async with Executor(workers=2, limits=LIMITS) as executor:
            verifier = Verifier(registry, executor)
            tasks = [_task(f"SELECT {n}", f"SELECT {n}", f"SELECT {n + 1}") for n in range(100)]
            return await asyncio.gather(*map(verifier.verify, tasks))

    for report in asyncio.run(main()):
        assert [v.status for v in report.verdicts] == ["match", "mismatch"]


def test_an_unknown_database_raises(registry: DatabaseRegistry) -> None:
    with pytest.raises(UnknownDatabase, match="'nope'"):
        _verify(registry, VerifyTask("nope", ("SELECT 1",), ("SELECT 1",)))


def test_a_time_limit_can_be_lowered_but_not_raised(registry: DatabaseRegistry) -> None:
    slow = ENDLESS.replace("FROM c)", "FROM c LIMIT 100000)")
    other = slow.replace("100000", "100001")
    [low, high] = _verify(
        registry, _task(slow, other, timeout_s=0.001), _task(slow, ENDLESS, timeout_s=3600.0)
    )
    assert low.verdicts[0].status == "timeout"
    assert high.verdicts[0].status == "timeout"
    assert high.verdicts[0].elapsed_ms < 5000


@pytest.fixture
def invalid_text(make_database: Callable[[str, str], Path]) -> DatabaseRegistry:
    """A text column whose bytes are not UTF-8."""
    path = make_database("latin", "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (x'e9');")
    return DatabaseRegistry.scan([path.parents[1]])


def test_text_that_is_not_utf8_is_no_crash(invalid_text: DatabaseRegistry) -> None:
    sql = "SELECT CAST(a AS TEXT) FROM t"
    [report] = _verify(invalid_text, VerifyTask("latin", (sql,), (sql,)))
    assert report.gold.status == "gold_error"
    assert "UTF-8" in (report.gold.message or "")


def test_a_plan_with_names_in_another_case_is_another_answer(registry: DatabaseRegistry) -> None:
    plan = "EXPLAIN QUERY PLAN SELECT name FROM customer AS {}"
    [report] = _verify(registry, _task(plan.format("x"), plan.format("X"), plan.format("x")))
    assert [verdict.status for verdict in report.verdicts] == ["mismatch", "match"]
