"""From an evaluation with several candidates to the calibration of /generate's confidence.

    verisql eval dev.json --n 8 --output runs/n8
    python -m bench.calibrate_confidence runs/n8 --basis "8 candidates, 567 Spider dev questions"

Prints the row for service/generation/confidence.json, and how far off the confidence is on
questions that it was not fitted on: the expected calibration error over five folds by database,
beside that of the bare share of votes.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bench import figures
from service.generation.confidence import Point, calibration_error, isotonic
from service.text2sql.evaluation import Outcome
from service.text2sql.evaluation.folder import read_run

_FOLDS = 5
_AS_IT_IS: list[Point] = [(0.0, 0.0), (1.0, 1.0)]

Votes = list[tuple[float, bool]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, cross-validate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of evaluations")
    parser.add_argument("--basis", required=True, help="said with every confidence")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the candidates")
    parser.add_argument("--metric", default="bird_ex")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args(arguments)
    outcomes = [o for run in given.runs for o in read_run(run)[1]]
    judged = [o for o in outcomes if not o.masked and o.voted]
    votes = [_vote(o, given.metric) for o in judged]
    row = {
        "model": judged[0].provenance.model["adapter"] or judged[0].provenance.model["name"],
        "n": len(judged[0].samples),
        "temperature": given.temperature,
        "basis": given.basis,
        "points": [[round(x, 4), round(y, 4)] for x, y in isotonic(votes)],
    }
    print(json.dumps([row]))
    fitted, bare = _cross_validated(judged, given.metric)
    found = {"questions": len(votes), "error_fitted": fitted, "error_of_the_share": bare}
    print(found)
    figures.report(given.results, "confidence", found | row, figures.machine())


def _vote(outcome: Outcome, metric: str) -> tuple[float, bool]:
    """The chosen answer's share of the votes, and whether it was right."""
    votes = max((sample.votes for sample in outcome.samples), default=0)
    return votes / len(outcome.samples), outcome.right(metric)


def _cross_validated(outcomes: Sequence[Outcome], metric: str) -> tuple[float, float]:
    """Mean expected calibration error on held-out databases: fitted elsewhere, and the share."""
    databases = sorted({o.question.db_id for o in outcomes})
    fitted = bare = 0.0
    for fold in range(_FOLDS):
        held = set(databases[fold::_FOLDS])
        train = [_vote(o, metric) for o in outcomes if o.question.db_id not in held]
        test = [_vote(o, metric) for o in outcomes if o.question.db_id in held]
        fitted += calibration_error(isotonic(train), test) * len(test) / len(outcomes)
        bare += calibration_error(_AS_IT_IS, test) * len(test) / len(outcomes)
    return round(fitted, 4), round(bare, 4)


if __name__ == "__main__":
    main()
