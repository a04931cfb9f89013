"""Time, memory, size and depth: each ends as a status, soon, and the next request is served."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arena import GOLD, RIGHT, Arena
from tests.attack_cases import Case, cases
from tests.attack_sql import endless, padding, rows

DEADLINE_S = 0.4
SOON_S = 6.0
"""Deadline, grace, a new worker and a busy machine."""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("resources")) as ready:
        yield ready


@pytest.mark.parametrize("case", cases("resources"), ids=str)
def test_a_greedy_statement_ends_as_a_status(arena: Arena, tmp_path: Path, case: Case) -> None:
    verdict = arena.attack(case.text(tmp_path), timeout_s=DEADLINE_S)
    # On a loaded machine any of them may reach the deadline first.
    assert verdict.status in {*case.expect, "timeout"}, verdict
    assert (verdict.reward, verdict.masked) == (0.0, False)
    assert verdict.elapsed_ms < SOON_S * 1000


def test_a_group_of_greedy_statements_does_not_cost_the_honest_ones(arena: Arena) -> None:
    greedy = [case.text(Path("/")) for case in cases("resources")[:12]]
    mixed = [sql for n, bad in enumerate(greedy) for sql in (bad, f"{RIGHT} AND {n} = {n}")]
    with arena.watch():
        verdicts = arena.verify(GOLD, *mixed, timeout_s=DEADLINE_S).verdicts
        arena.check_honest()
    assert [verdict.status for verdict in verdicts[1::2]] == ["match"] * len(greedy)


def test_a_greedy_gold_is_a_gold_at_fault(arena: Arena) -> None:
    with arena.watch():
        for sql in ("SELECT zeroblob(1000000000)", rows(1_500_000), padding(1_000_000)):
            report = arena.verify(sql, RIGHT)
            assert report.gold.status == "gold_error"
            assert (report.verdicts[0].reward, report.verdicts[0].masked) == (None, True)
        arena.check_honest()


def test_forty_endless_groups_are_over_before_the_honest_one_gives_up(arena: Arena) -> None:
    tasks = [f"{endless(0)} LIMIT {n + 1}" for n in range(40)]
    start = time.monotonic()
    with arena.watch():
        verdicts = arena.verify(GOLD, *tasks, RIGHT, timeout_s=0.05).verdicts
    assert {verdict.status for verdict in verdicts[:-1]} == {"timeout"}
    assert verdicts[-1].status == "match"
    assert time.monotonic() - start < 40 * 0.5
