"""The execution reward: real verifier, small database."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from service.sandbox.limits import Limits
from service.sandbox.pool import SPARE
from service.text2sql.types import VerifyReport, VerifyTask
from tests.fixtures_trainer import write_pets
from trainer.rewards import (
    BREAKDOWN,
    ExecutionReward,
    breakdown,
    coincidences,
    kind_of,
    useful_share,
)
from trainer.verifier_thread import VerifierThread

ALL, NAMES = ["SELECT * FROM pets"], ["SELECT name FROM pets"]
RIGHT = "```sql\nSELECT id, name, age FROM pets\n```"
WRONG = "```sql\nSELECT name FROM pets\n```"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierThread]:
    data = write_pets(tmp_path_factory.mktemp("rewards"))
    limits = Limits(query_timeout_s=0.3, gold_timeout_s=0.3)
    with VerifierThread([data], workers=2, limits=limits) as started:
        yield started


def asked(
    reward: ExecutionReward, completions: Sequence[object], golds: Sequence[list[str]]
) -> list[float | None]:
    """Call it as TRL does: every column repeated, and more keywords than are wanted."""
    n = len(completions)
    ids = [gold[0] for gold in golds]
    return reward(completions, ["pets"] * n, golds, ids, prompts=[""] * n, trainer_state=None)


def test_a_match_earns_one_and_all_else_nothing(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    completions = [RIGHT, WRONG, "I cannot say.", "```sql\nSELECT nothing FROM pets\n```"]
    assert asked(reward, completions, [ALL] * 4) == [1.0, 0.0, 0.0, 0.0]


def test_a_match_by_chance_earns_nothing_where_copies_are_asked_for(tmp_path: Path) -> None:
    data, count = write_pets(tmp_path), ["SELECT count(*) FROM pets"]
    by_chance, counted = "SELECT 3", "SELECT count(id) FROM pets"
    copies = tmp_path / "copies"
    with VerifierThread([data], workers=1, limits=Limits(), copies_path=copies) as verifier:
        lenient = ExecutionReward(verifier.verify)
        strict = ExecutionReward(verifier.verify, copies=4)
        assert asked(lenient, [by_chance, counted], [count] * 2) == [1.0, 1.0]
        assert asked(strict, [by_chance, counted], [count] * 2) == [0.0, 1.0]
        assert coincidences(strict.take()) == 1


def test_a_completion_may_be_a_list_of_messages(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    chat = [[{"role": "assistant", "content": RIGHT}], [{"role": "assistant", "content": WRONG}]]
    assert asked(reward, chat, [ALL, ALL]) == [1.0, 0.0]


def test_predictions_of_one_question_are_one_task_in_whatever_order_they_come(
    verifier: VerifierThread,
) -> None:
    seen: list[VerifyTask] = []

    def verify(tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
        seen.extend(tasks)
        return verifier.verify(tasks)

    golds = [ALL, NAMES, ALL, NAMES]
    assert asked(ExecutionReward(verify), [RIGHT, RIGHT, WRONG, WRONG], golds) == [1, 0, 0, 1]
    assert [len(task.predictions) for task in seen] == [2, 2]
    assert [task.gold_sql for task in seen] == [("SELECT * FROM pets",), ("SELECT name FROM pets",)]


def test_a_sample_whose_gold_fails_is_left_out_not_punished(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    assert asked(reward, [RIGHT, RIGHT], [["SELECT broken"], ALL]) == [None, 1.0]
    assert [rollout.verdict.masked for rollout in reward.take()] == [True, False]


def test_each_kind_of_verdict_is_counted(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    completions = [RIGHT, WRONG, "```sql\nSELEC\n```", f"```sql\n{ENDLESS}\n```", "?", RIGHT]
    asked(reward, completions, [*[ALL] * 5, ["SELECT broken"]])
    rollouts = reward.take()
    assert breakdown(rollouts) == dict.fromkeys(BREAKDOWN, 1)
    assert [rollout.completion for rollout in rollouts] == completions


def test_scored_rollouts_are_handed_out_once(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    asked(reward, [RIGHT], [ALL])
    assert [r.verdict.status for r in reward.take()] == ["match"]
    assert reward.take() == []


def test_only_groups_that_differ_in_reward_are_useful(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    completions = [RIGHT, WRONG, WRONG, WRONG, RIGHT, RIGHT]
    asked(reward, completions, [ALL] * 6)
    assert useful_share(reward.take(), 2) == pytest.approx(1 / 3)


def test_a_masked_sample_makes_no_group_useful(verifier: VerifierThread) -> None:
    reward = ExecutionReward(verifier.verify)
    asked(reward, [RIGHT, RIGHT], [ALL, ["SELECT broken"]])
    assert useful_share(reward.take(), 2) == 0.0
    assert useful_share([], 2) == 0.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [("forbidden", "error"), ("too_large", "error"), ("gold_timeout", "masked")],
)
def test_rare_statuses_have_their_place_in_the_breakdown(status: str, kind: str) -> None:
    assert kind_of(status) == kind  # type: ignore[arg-type]


def test_more_questions_than_workers_wait_their_turn(verifier: VerifierThread) -> None:
    n = 600  # More than the executor lets wait.
    tasks = [VerifyTask("pets", (f"SELECT {i}",), (f"SELECT {i}",)) for i in range(n)]
    reports = verifier.verify(tasks)
    assert {report.verdicts[0].status for report in reports} == {"match"}


def test_nothing_is_left_behind_when_the_thread_ends(tmp_path: Path) -> None:
    with VerifierThread([write_pets(tmp_path)], workers=2, limits=Limits()) as verifier:
        pids = verifier.executor.pids()
        assert len(pids) == 2 + SPARE
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
