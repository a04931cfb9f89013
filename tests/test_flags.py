"""Each flag of a verdict: when it is set, when it is not, and what a policy makes of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.text2sql.copies import Copies
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.policy import Policy
from service.text2sql.types import Flag, Robust, Verdict, VerifyTask
from service.text2sql.verifier import Verifier
from tests.arena import Arena

CASES = json.loads((Path(__file__).parent / "cases" / "flags.json").read_text())["match"]
SLOW = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000) \
SELECT max(x) FROM c) > 0"
GOLD = "SELECT count(*) FROM customer"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The shop, and a worker that keeps no verdicts."""
    with Arena(tmp_path_factory.mktemp("flags")) as ready:
        yield ready


@pytest.mark.parametrize(
    ("metric", "gold", "prediction", "flags"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_a_match_has_the_flags_that_it_deserves(
    arena: Arena, metric: str, gold: str, prediction: str, flags: list[str]
) -> None:
    # Beside another prediction, so that what is known of one cannot colour the next.
    other, verdict = arena.verify(gold, "SELECT 1, 2, 3", prediction, metrics=(metric,)).verdicts
    assert (other.status, verdict.status) == ("mismatch", "match")
    assert sorted(verdict.flags) == flags
    assert (verdict.reward, verdict.message) == (1.0, None)


def test_a_mismatch_tells_of_constants_chance_and_an_unsteady_gold(arena: Arena) -> None:
    sql = "SELECT random()"
    verdict = arena.verify("SELECT name FROM customer LIMIT 1", sql).verdicts[0]
    found = (verdict.status, set(verdict.flags))
    assert found == ("mismatch", {"constant_only", "nondeterministic", "gold_nondeterministic"})


def test_a_slow_statement_with_a_limit_is_not_run_again_to_look_for_ties(arena: Arena) -> None:
    gold = "SELECT name FROM customer WHERE id = 1"
    quick, slow = (
        f"SELECT name FROM customer WHERE {condition} ORDER BY joined LIMIT 1"
        for condition in ("1 > 0", SLOW)
    )
    verdicts = arena.verify(gold, quick, slow).verdicts
    assert [v.status for v in verdicts] == ["match", "match"]
    assert [v.flags for v in verdicts] == [[], ["ties_unchecked"]]


def test_a_match_that_a_copy_disproves_is_a_coincidence(arena: Arena, tmp_path: Path) -> None:
    async def judge() -> list[Verdict]:
        copies = Copies(tmp_path / "copies")
        verifier = Verifier(_registry(arena), arena.executor, copies=copies)
        same = "SELECT count(id) FROM customer"
        task = VerifyTask("shop", (GOLD,), (same, "SELECT 4"), robust=Robust(4))
        report = await verifier.verify(task)
        await copies.close()
        return report.verdicts

    right, wrong = arena.run(judge())
    assert (right.status, right.flags, right.reward) == ("match", [], 1.0)
    assert (wrong.status, wrong.reward) == ("mismatch", 0.0)
    assert set(wrong.flags) == {"constant_only", "coincidence"}
    assert wrong.robust
    assert wrong.robust["counterexample"]


# -- policy --------------------------------------------------------------------------------------


def _registry(arena: Arena) -> DatabaseRegistry:
    return DatabaseRegistry.scan([arena.data])


def _judge(arena: Arena, *rejected: Flag, **task: Any) -> Verdict:
    """The verdict on a constant that matches, under a policy."""
    verifier = Verifier(_registry(arena), arena.executor, Policy(frozenset(rejected)))
    asked = VerifyTask("shop", (GOLD,), ("SELECT 4.0",), **task)
    return arena.run(verifier.verify(asked)).verdicts[0]


def test_a_flag_that_the_policy_rejects_makes_a_match_worth_nothing(arena: Arena) -> None:
    verdict = _judge(arena, "constant_only", "type_coerced", "order_ignored")
    assert (verdict.status, verdict.reward, verdict.masked) == ("match", 0.0, False)
    assert set(verdict.flags) == {"constant_only", "type_coerced"}
    assert verdict.message
    assert verdict.message.endswith("by policy: constant_only, type_coerced")


def test_a_flag_that_the_policy_does_not_name_costs_nothing(arena: Arena) -> None:
    verdict = _judge(arena, "order_ignored")
    assert (verdict.status, verdict.reward, verdict.message) == ("match", 1.0, None)


def test_a_request_may_reject_more_or_less_than_the_policy(arena: Arena) -> None:
    assert _judge(arena, reject_flags=frozenset({"constant_only"})).reward == 0.0
    assert _judge(arena, "constant_only", reject_flags=frozenset()).reward == 1.0


def test_a_rejected_match_earns_nothing_by_weights_either(arena: Arena) -> None:
    verdict = _judge(arena, "constant_only", reward={"bird_ex": 3.0, "match": 2.0})
    assert verdict.metrics == {"bird_ex": 1.0}
    assert verdict.reward == 0.0
