"""Fit the score behind `cannot_answer`, and measure how often doubts are right and wrong.

    python -m bench.doubts fit TRAIN.json [--rate 0.005]
    python -m bench.doubts measure FILE... [--others FOLDER] [--no-values] [--show 20]

FILE holds questions in BIRD's format, its databases lie below the same folder. All its questions
have an answer, so each doubt about one is a false alarm. `fit` asks each question also on a
database of another theme (no word of a table's name in common), and writes
service/generation/doubts.json: weights by Newton's method, the threshold that the given share of
answerable questions exceeds. `measure` only reads it. Intervals are Wilson's, 95 %.

`--others` is where databases for mismatched pairs are drawn from, the file's own folder by default.
"""

import argparse
import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.doubt_cases import (
    Case,
    On,
    asked_column,
    names_a_table,
    read_cases,
    with_second_column,
    with_second_table,
    without_column,
)
from bench.figures import machine, percentile
from service.generation.doubting.coverage import FEATURES, Coverage, coverage
from service.generation.doubting.empty import EMPTY
from service.generation.doubting.places import Place
from service.generation.doubting.vocabulary import vocabulary
from service.generation.doubting.words import family, tokens
from service.generation.doubts import Doubt, doubt
from service.text2sql.evaluation.accuracy import wilson

DATA = Path(__file__).parents[1] / "service" / "generation" / "doubts.json"
_LEAST_DATABASES = 3
_PENALTY = 1e-3
_STEPS = 50


def main() -> None:
    """Fit or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fit", "measure"])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--others", type=Path)
    parser.add_argument("--no-values", action="store_true")
    parser.add_argument("--show", type=int, default=0, help="print so many false alarms")
    given = parser.parse_args()
    for file in given.files:
        cases = asyncio.run(read_cases(file, given.others or file.parent))
        if given.what == "fit":
            DATA.write_text(json.dumps(fit(cases, given.rate, file.name), indent=1) + "\n")
        else:
            found = measure(cases, values=not given.no_values, show=given.show)
            print(json.dumps({"file": f"{file.parent.name}/{file.name}", **found}, indent=1))
    print(json.dumps({"machine": machine()}))


def fit(cases: Sequence[Case], rate: float, name: str) -> dict[str, Any]:
    """What doubts.json holds."""
    empty = _empty(cases)
    own = [_covered(case, case.own, EMPTY | empty) for case in cases]
    other = [_covered(case, case.other, EMPTY | empty) for case in cases if case.themes_differ]
    x = np.array([found.features for found in [*own, *other]])
    y = np.r_[np.zeros(len(own)), np.ones(len(other))]
    weights = _logistic(np.c_[np.ones(len(x)), x], y)
    scores = np.c_[np.ones(len(own)), x[: len(own)]] @ weights
    scores[[not found.missing for found in own]] = -np.inf
    threshold = float(np.quantile(scores, 1 - rate, method="higher"))
    rounded = [round(float(weight), 4) for weight in weights]
    return {
        "origin": f"python -m bench.doubts fit {name} --rate {rate}: {len(own)} questions on their"
        f" own database, {len(other)} on one of another theme (Spider's train set, CC BY-SA 4.0)",
        "intercept": rounded[0],
        "weights": dict(zip(FEATURES, rounded[1:], strict=True)),
        "threshold": round(threshold + 5e-5, 4),
        "empty": sorted(empty),
    }


def _empty(cases: Iterable[Case]) -> frozenset[str]:
    """Families of words that questions on several databases use though their schema lacks them."""
    where: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        for word in _covered(case, case.own, EMPTY).missing:
            where[family(word)].add(case.question.db_id)
    return frozenset(word for word, found in where.items() if len(found) >= _LEAST_DATABASES)


def _covered(case: Case, on: On, empty: frozenset[str]) -> Coverage:
    return coverage(tokens(case.question.question), vocabulary(on.schema), on.values, empty)


def _logistic(x: Any, y: Any) -> Any:
    """Weights of a logistic regression with a small L2 penalty, by Newton's method."""
    weights = np.zeros(x.shape[1])
    penalty = np.r_[0.0, np.full(x.shape[1] - 1, _PENALTY)]
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (p - y) / len(y) + penalty * weights
        curve = (x * (p * (1 - p))[:, None]).T @ x / len(y) + np.diag(penalty)
        weights = weights - np.linalg.solve(curve, slope)
    return weights


def measure(cases: Sequence[Case], *, values: bool, show: int = 0) -> dict[str, Any]:
    """False alarms, detections, and milliseconds of processor time a question."""
    ask = _Asker(values)
    own = [ask(case, case.own) for case in cases]
    for case, found in zip(cases, own, strict=True):
        if found and (show := show - 1) >= 0:
            print(f"{case.question.db_id}: {case.question.question}\n    {found.text}")
    kinds = Counter(found.status for found in own if found)
    columns = [(case, place) for case in cases if (place := asked_column(case))]
    bare = [(case, place) for case, place in columns if not names_a_table(case)]
    other = [(ask(case, case.other), case.themes_differ) for case in cases]
    return {
        "false_alarms": _rate(sum(kinds.values()), len(cases)),
        **{
            f"false_{kind}": _rate(kinds[kind], len(cases)) for kind in ("clarify", "cannot_answer")
        },
        "other_theme_found": _found((d for d, differ in other if differ), "cannot_answer"),
        "other_database_found": _found((d for d, _ in other), "cannot_answer"),
        "two_columns_found": _altered(ask, columns, with_second_column, "clarify"),
        "two_tables_found": _altered(ask, columns, with_second_table, "clarify"),
        "two_tables_no_table_named_found": _altered(ask, bare, with_second_table, "clarify"),
        "column_removed_found": _altered(ask, columns, without_column, "cannot_answer"),
        "ms_median": round(percentile(ask.ms, 0.5), 3),
        "ms_p99": round(percentile(ask.ms, 0.99), 3),
    }


class _Asker:
    def __init__(self, values: bool) -> None:
        self._values = values
        self.ms: list[float] = []

    def __call__(self, case: Case, on: On) -> Doubt | None:
        question, evidence = case.question.question, case.question.evidence
        vocabulary(on.schema)  # so that the question alone is timed
        start = time.thread_time()
        found = doubt(question, evidence, (), on.schema, on.values if self._values else None)
        self.ms.append((time.thread_time() - start) * 1000)
        return found


def _altered(
    ask: _Asker,
    columns: Sequence[tuple[Case, Place]],
    alter: Callable[[On, Place], On],
    status: str,
) -> dict[str, Any]:
    return _found((ask(case, alter(case.own, place)) for case, place in columns), status)


def _found(doubts: Iterable[Doubt | None], status: str) -> dict[str, Any]:
    all_of_them = list(doubts)
    return _rate(sum(d is not None and d.status == status for d in all_of_them), len(all_of_them))


def _rate(count: int, of: int) -> dict[str, Any]:
    low, high = wilson(count, of) if of else (0.0, 1.0)
    share = round(count / of, 4) if of else None
    return {"count": count, "of": of, "rate": share, "interval": [round(low, 4), round(high, 4)]}


if __name__ == "__main__":
    main()
