"""Statements with the same compiled program: which are, which are not, and what is not run then."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.sandbox.gold import Gold, run_gold
from service.sandbox.limits import Limits
from service.sandbox.plan import Run, plan
from service.sandbox.program import KnownPrograms, program_of, shortened
from service.sandbox.sqlite import Connection
from tests.arena import write_database
from tests.conftest import SHOP

CASES = json.loads((Path(__file__).parent / "cases" / "programs.json").read_text())
LIMITS = Limits()
GOLD = "SELECT name, city FROM customer WHERE id < 3"
ENDLESS = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c)"
RUN = plan(("bird_ex",))[0]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """The shop, as a worker opens it."""
    path = write_database(tmp_path_factory.mktemp("program") / "shop.sqlite", SHOP)
    with closing(Connection(str(path), LIMITS)) as opened:
        yield opened


def _golds(connection: Connection, *sqls: str) -> list[Gold]:
    return [run_gold(connection, sql, 5.0, LIMITS) for sql in sqls]


def _known(
    connection: Connection, *golds: str, run: Run = RUN, diff_rows: int = 3
) -> KnownPrograms:
    return KnownPrograms(connection, run, _golds(connection, *golds), diff_rows, by_width=True)


@pytest.mark.parametrize(("one", "other"), CASES["same"])
def test_what_the_engine_does_not_see_makes_no_other_program(
    connection: Connection, one: str, other: str
) -> None:
    program = program_of(connection, one)
    assert program is not None
    assert program == program_of(connection, other)
    assert hash(program) == hash(program_of(connection, other))


@pytest.mark.parametrize(("one", "other"), CASES["different"])
def test_what_may_change_the_rows_makes_another_program(
    connection: Connection, one: str, other: str
) -> None:
    first, second = program_of(connection, one), program_of(connection, other)
    assert None not in (first, second)
    assert first != second


SHORTENED = {
    "SELECT 1, 0x1f, 123456789012345": (),
    "SELECT 1.5, .5, 5.e3, 1e-7, X'00'": ("1.5", ".5", "5.e3", "1e-7", "X'00'"),
    "SELECT 1234567890123456, 1.": ("1234567890123456",),
    "SELECT 1_234_567_890_123_456_789_012": ("1_234_567_890_123_456_789_012",),
    "SELECT 12345678_901234567_8.5": ("12345678_901234567_8.5",),
    "SELECT 1_0.2_5e1_0, 1_0e-1_0, 1_2.e3": ("1_0.2_5e1_0", "1_0e-1_0", "1_2.e3"),
    "SELECT 1_000": (),
}


@pytest.mark.parametrize("sql", SHORTENED)
def test_numbers_that_may_be_shown_shortened_are_found_with_separators_too(sql: str) -> None:
    assert shortened(sql) == SHORTENED[sql]


@pytest.mark.skipif(
    sqlite3.sqlite_version_info < (3, 46), reason="this SQLite has no digit separators"
)
def test_numbers_with_separators_that_differ_late_make_two_programs(connection: Connection) -> None:
    numbers = ("1_234_567_890_123_456_7.5", "1_234_567_890_123_456_7.75")
    found = [program_of(connection, f"SELECT {n} FROM customer") for n in numbers]
    assert None not in found
    assert found[0] != found[1]


@pytest.mark.parametrize("sql", CASES["none"])
def test_what_does_not_compile_or_changes_from_run_to_run_has_no_program(
    connection: Connection, sql: str
) -> None:
    assert program_of(connection, sql) is None


def test_a_program_knows_its_columns(connection: Connection) -> None:
    counts = [program_of(connection, sql) for sql in (GOLD, "SELECT 1, 2, 3 UNION SELECT 4, 5, 6")]
    assert [program and program.columns for program in counts] == [2, 3]


def test_the_golds_own_program_is_a_match_without_a_run(connection: Connection) -> None:
    known = _known(connection, "SELECT name FROM customer", GOLD)
    program = program_of(connection, "select C.name N, C.city from customer C where C.id < 3")
    assert program
    answer = known.answer(program)
    assert answer == {"status": "ok", "rows": 2, "flags": [], "metrics": {"bird_ex": 1.0}}


def test_another_number_of_columns_is_a_mismatch_without_a_run(connection: Connection) -> None:
    known = _known(connection, GOLD)
    program = program_of(connection, f"SELECT {ENDLESS}")  # would never end
    assert program
    answer = known.answer(program)
    assert answer
    assert (answer["status"], answer["metrics"]) == ("ok", {"bird_ex": 0.0})
    assert answer["diff"]["kind"] == "columns"
    assert (answer["diff"]["gold_columns"], answer["diff"]["predicted_columns"]) == (2, 1)
    no_diff = _known(connection, GOLD, diff_rows=0).answer(program)
    assert no_diff == {"status": "ok", "metrics": {"bird_ex": 0.0}}


@pytest.mark.parametrize(
    ("golds", "metrics"),
    [
        ((GOLD, "SELECT name FROM customer"), ("bird_ex",)),
        ((f"{GOLD} AND 0",), ("bird_ex",)),
        ((GOLD,), ("bird_soft_f1",)),
        ((GOLD,), ("bird_ex", "spider2_lite")),
    ],
    ids=["another gold is as wide", "the gold is empty", "shares count", "a column may be enough"],
)
def test_the_number_of_columns_alone_does_not_always_decide(
    connection: Connection, golds: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    program = program_of(connection, f"SELECT {ENDLESS}")
    assert program
    assert _known(connection, *golds, run=plan(metrics)[0]).answer(program) is None


def test_an_answer_is_remembered_unless_another_run_might_change_it(connection: Connection) -> None:
    known = _known(connection, GOLD)
    program = program_of(connection, "SELECT 1, 2")
    assert program
    assert known.answer(program) is None
    for passing in ("timeout", "infra_error"):
        known.remember(program, {"status": passing})
        assert known.answer(program) is None
    known.remember(program, {"status": "exec_error"})
    assert known.answer(program) == {"status": "exec_error"}
