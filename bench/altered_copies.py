"""How many right answers of an evaluation hold on altered copies: python -m bench.altered_copies

Takes folders that `verisql eval` or the stage `evaluate` wrote. A match by chance on the one
database that was asked is no skill; the share of such matches must not rise with training.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import machine, report
from service.sandbox.limits import Limits
from service.text2sql.evaluation.accuracy import wilson
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.outcome_file import read_outcomes
from service.text2sql.types import Robust, VerifyTask
from trainer.verifier_thread import VerifierThread


def main(arguments: Sequence[str] | None = None) -> None:
    """One line a folder."""
    given = _parser().parse_args(arguments)
    facts = machine()
    with (
        tempfile.TemporaryDirectory() as copies,
        VerifierThread(given.data, workers=2, limits=Limits(), copies_path=Path(copies)) as judge,
    ):
        found = {str(folder): _held(folder, judge, given.copies) for folder in given.folders}
    for folder, figures in found.items():
        print(f"{folder}: {figures}")
    report(given.output, "altered_copies", {"copies": given.copies, "folders": found}, facts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.altered_copies", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="with the databases")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--output", type=Path)
    return parser


def _held(folder: Path, judge: VerifierThread, copies: int) -> dict[str, Any]:
    outcomes = [o for o in read_outcomes(folder / "questions.jsonl") if not o.masked]
    right = [o for o in outcomes if o.right("bird_ex")]
    judged = judge.verify([_task(outcome, copies) for outcome in right])
    verdicts = [report.verdicts[0] for report in judged]
    kinds = Counter("coincidence" if "coincidence" in v.flags else v.status for v in verdicts)
    low, high = wilson(kinds["match"], len(outcomes))
    return {
        "questions": len(outcomes),
        "right": len(right),
        "right_on_copies_too": kinds["match"],
        "share": round(kinds["match"] / max(1, len(outcomes)), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "by_chance": kinds["coincidence"],
        "not_judged_again": len(right) - kinds["match"] - kinds["coincidence"],
    }


def _task(outcome: Outcome, copies: int) -> VerifyTask:
    question = outcome.question
    return VerifyTask(
        question.db_id,
        (question.gold_sql or "",),
        (outcome.sql or "",),
        robust=Robust(instances=copies),
    )


if __name__ == "__main__":
    main()
