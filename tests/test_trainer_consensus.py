"""Scores without gold, with the real verifier on a real database."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from service.sandbox.limits import Limits
from service.text2sql.types import VerifyReport, VerifyTask
from tests.fixtures_trainer import write_pets
from trainer.offline.consensus import agreed
from trainer.verifier_thread import VerifierThread


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierThread]:
    data = write_pets(tmp_path_factory.mktemp("consensus"))
    with VerifierThread([data], workers=1, limits=Limits()) as verifier:
        yield verifier


@pytest.mark.parametrize(
    ("completions", "rewards"),
    [
        (
            ["SELECT name FROM pets", "SELECT age FROM pets", "SELECT name FROM pets ORDER BY age"],
            [1, 0, 1],
        ),
        (["SELECT name FROM pets", "nonsense", "SELECT name FROM pets WHERE 1"], [1, 0, 1]),
        (["SELECT name FROM pets", "SELECT age FROM pets"], [None, None]),
        (
            ["SELECT name FROM pets", "SELECT age FROM pets"] * 2,
            [None, None, None, None],
        ),
        (["SELECT name FROM pets WHERE 0", "SELECT age FROM pets WHERE 0"], [None, None]),
        (["SELECT no FROM pets", "SELECT no FROM pets"], [None, None]),
        (["I do not know.", "Neither do I."], [None, None]),
    ],
    ids=["two agree", "no SQL", "nobody agrees", "a tie", "empty results", "errors", "silence"],
)
def test_the_largest_cluster_counts_as_right(
    verifier: VerifierThread, completions: list[str], rewards: list[float | None]
) -> None:
    verdicts = agreed("pets", completions, verifier.verify)
    assert [verdict.reward for verdict in verdicts] == rewards


def test_a_statement_that_fails_is_said_to(verifier: VerifierThread) -> None:
    verdicts = agreed("pets", ["SELECT 1", "SELECT no FROM pets", "SELECT 1"], verifier.verify)
    assert [verdict.status for verdict in verdicts] == ["match", "exec_error", "match"]


def test_to_equal_what_the_candidates_are_probed_with_is_no_match(
    verifier: VerifierThread,
) -> None:
    verdicts = agreed("pets", ["SELECT 1", *["SELECT age FROM pets"] * 2], verifier.verify)
    assert [verdict.status for verdict in verdicts] == ["mismatch", "match", "match"]


def test_what_could_not_be_judged_is_neither_right_nor_wrong(verifier: VerifierThread) -> None:
    completions = ["SELECT name FROM pets"] * 2 + ["SELECT age FROM pets"]

    def verify(tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
        """The sandbox fails on the last completion, every time."""
        reports = verifier.verify(tasks)
        lost = {"status": "infra_error", "masked": True}
        return [
            replace(
                report,
                verdicts=[
                    replace(verdict, **lost) if "age" in (verdict.sql or "") else verdict
                    for verdict in report.verdicts
                ],
            )
            for report in reports
        ]

    assert [v.reward for v in agreed("pets", completions, verify)] == [1, 1, None]
