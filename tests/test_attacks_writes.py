"""Statements that write, shadow, attach or change settings: refused, and nothing is changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arena import GOLD, RIGHT, Arena
from tests.attack_cases import TABLE, Case, cases

PRAGMAS = TABLE["pragmas"]
NAMES: list[str] = PRAGMAS["names"].split()


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("writes")) as ready:
        yield ready


@pytest.mark.parametrize("case", cases("writes"), ids=str)
def test_a_statement_that_writes_earns_nothing_and_changes_nothing(
    arena: Arena, tmp_path: Path, case: Case
) -> None:
    verdict = arena.attack(case.text(tmp_path))
    assert verdict.status in case.expect, verdict
    assert (verdict.reward, verdict.masked) == (0.0, False)
    assert list(tmp_path.iterdir()) == []


def test_a_gold_that_writes_is_a_gold_at_fault(arena: Arena, tmp_path: Path) -> None:
    refused = [case for case in cases("writes") if "mismatch" not in case.expect]
    with arena.watch():
        for case in refused:
            report = arena.verify(case.text(tmp_path), RIGHT, "SELECT 1")
            assert report.gold.status == "gold_error", case.id
            assert [(v.reward, v.masked) for v in report.verdicts] == [(None, True)] * 2
        arena.check_honest()
    assert list(tmp_path.iterdir()) == []


def test_writes_between_honest_predictions_of_a_group_change_no_verdict(
    arena: Arena, tmp_path: Path
) -> None:
    writes = [case.text(tmp_path) for case in cases("writes")]
    mixed = [sql for n, write in enumerate(writes) for sql in (write, f"{RIGHT} AND {n} = {n}")]
    with arena.watch():
        verdicts = arena.verify(GOLD, *mixed).verdicts
    assert {verdict.status for verdict in verdicts[1::2]} == {"match"}
    assert "match" not in {verdict.status for verdict in verdicts[0::2]}


@pytest.mark.parametrize("name", NAMES)
def test_a_pragma_with_an_argument_is_refused_unless_it_only_reads(arena: Arena, name: str) -> None:
    reading = name in PRAGMAS["reading"]
    forms = [form for a in PRAGMAS["arguments"] for form in (f" = {a}", f"({a})")]
    with arena.watch():
        verdicts = arena.verify(GOLD, *(f"PRAGMA {name}{form}" for form in forms)).verdicts
        arena.check_honest()
    found = {verdict.status for verdict in verdicts}
    assert found <= {"mismatch", "no_sql", "forbidden"}
    assert reading or found == {"forbidden"}


@pytest.mark.parametrize("name", NAMES)
def test_a_pragma_as_a_table_changes_nothing(arena: Arena, name: str) -> None:
    tables = (f"pragma_{name}", f"pragma_{name}('main')", f"pragma_{name}(1, 'main')")
    with arena.watch():
        verdicts = arena.verify(GOLD, *(f"SELECT * FROM {table}" for table in tables)).verdicts
        arena.check_honest()
    statuses = {verdict.status for verdict in verdicts}
    assert statuses <= {"forbidden", "exec_error", "mismatch"}


def test_settings_of_the_connection_stay_what_they_were(arena: Arena) -> None:
    probes = {
        "SELECT 'a' LIKE 'A'": "PRAGMA case_sensitive_like = 1",
        "SELECT encoding FROM pragma_encoding": "PRAGMA encoding = 'UTF-16'",
        "SELECT * FROM pragma_page_size": "PRAGMA page_size = 1024",
        "SELECT group_concat(id) FROM customer": "PRAGMA reverse_unordered_selects = 1",
        "SELECT * FROM pragma_user_version": "PRAGMA user_version = 9",
    }
    for probe, change in probes.items():
        assert arena.verify(probe, change, probe).verdicts[1].status == "match", change
