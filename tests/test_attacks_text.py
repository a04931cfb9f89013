"""Odd text: several statements, comments, NULs, surrogates, look-alikes, parameters, messages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arena import GOLD, Arena
from tests.attack_cases import Case, cases


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("text")) as ready:
        yield ready


@pytest.mark.parametrize("case", cases("text"), ids=str)
def test_odd_text_gets_the_status_of_its_kind(arena: Arena, tmp_path: Path, case: Case) -> None:
    verdict = arena.attack(case.text(tmp_path))
    assert verdict.status in case.expect, verdict
    assert (verdict.reward, verdict.masked) == (0.0, False)


@pytest.mark.parametrize("case", cases("reads"), ids=str)
def test_odd_reading_is_allowed_and_earns_nothing(arena: Arena, tmp_path: Path, case: Case) -> None:
    verdict = arena.attack(case.text(tmp_path), timeout_s=2.0)
    assert verdict.status in case.expect, verdict
    assert (verdict.reward, verdict.masked) == (0.0, False)


@pytest.mark.parametrize("tail", ["", ";", "; -- end", " /* end", ";\n\t ", "; /* end */"])
def test_harmless_ends_of_a_right_answer_do_not_cost_it(arena: Arena, tail: str) -> None:
    assert arena.attack(GOLD + tail, timeout_s=2.0).status == "match"


@pytest.mark.parametrize("head", ["\ufeff", "\n\n", "-- why\n", "/* why */ ", "\t"])
def test_harmless_beginnings_of_a_right_answer_do_not_cost_it(arena: Arena, head: str) -> None:
    assert arena.attack(head + GOLD, timeout_s=2.0).status == "match"


def test_a_message_can_always_be_sent_on(arena: Arena) -> None:
    for case in [*cases("text"), *cases("reads")]:
        verdict = arena.verify(GOLD, str(case.sql), timeout_s=2.0).verdicts[0]
        for said in (verdict.message, verdict.sql):
            assert len((said or "").encode()) < 4000
