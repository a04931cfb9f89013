"""Which questions are asked at all: by difficulty, by a sample, by how often they were answered."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest
from service.jobs.spec import DataFilter
from service.text2sql.questions import Question
from service.text2sql.types import MASKED
from trainer.dataset import Row
from trainer.errors import NoTrainingRows


def choose(
    questions: Sequence[Question], wanted: DataFilter, seed: int, dropped: Counter[str]
) -> list[Question]:
    """The questions of the wanted difficulties, then a sample of them, in their old order.

    Those left out are counted as `other_difficulty` and `not_sampled`. Raises NoTrainingRows if no
    question has such a difficulty.
    """
    names = wanted.difficulty
    rated = [q for q in questions if names is None or q.difficulty in names]
    if not rated:
        there = ", ".join(sorted({q.difficulty for q in questions}))
        raise NoTrainingRows(
            f"no question of the training data has a difficulty of {names}; there are: {there}",
            param="hyperparameters.data.difficulty",
        )
    dropped["other_difficulty"] += len(questions) - len(rated)
    drawn = rated if wanted.questions is None else sample(rated, wanted.questions, seed)
    dropped["not_sampled"] += len(rated) - len(drawn)
    return drawn


def sample(questions: Sequence[Question], size: int, seed: int) -> list[Question]:
    """`size` questions, each database its share of them to within one, in their old order.

    Systematic sampling: shuffled within each database, one database after the other, every n-th is
    taken from a random start (W. G. Cochran, Sampling Techniques, 3rd ed., chapter 8).
    """
    if size >= len(questions):
        return list(questions)
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret.
    by_database: dict[str, list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        by_database[question.db_id].append(number)
    line: list[int] = []
    for db_id in sorted(by_database):
        generator.shuffle(by_database[db_id])
        line += by_database[db_id]
    start = generator.random()
    step = len(questions) / size
    # min: a start just below 1 may round up to the end.
    places = (min(int((start + n) * step), len(line) - 1) for n in range(size))
    return [questions[n] for n in sorted(line[place] for place in places)]


def pass_rates(path: Path) -> dict[str, float]:
    """Mean reward of each question's candidates, 0..1, over all templates, by question_id.

    `path` is the offline stage's candidates.jsonl. Candidates that could not be judged do not
    count; a question without any other is not there. A last line without its end is not read.
    Raises InvalidRequest naming the line that is no such line.
    """
    rewards: dict[str, list[float]] = defaultdict(list)
    for number, line in enumerate(_whole_lines(path), 1):
        try:
            row = json.loads(line)
            rewards[str(row["question_id"])] += _judged(row["completions"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(
                f"{path}, line {number}: is no question with candidates"
            ) from error
    return {question: sum(all_) / len(all_) for question, all_ in rewards.items() if all_}


def keep_by_pass_rate(
    rows: Sequence[Row], rates: Mapping[str, float], low: float, high: float
) -> tuple[list[Row], Counter[str]]:
    """Rows with low <= rate <= high, both ends kept, and how many were `too_hard` or `too_easy`.

    0..1 keeps all. A row of which no rate is known is kept. A prompt whose answers are all right or
    all wrong teaches nothing (DAPO, arXiv 2503.14476, section 3.2): 0.01..0.99 leaves these out.
    Raises NoTrainingRows if none is kept.
    """
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        rate = rates.get(row.question_id)
        if rate is None or low <= rate <= high:
            kept.append(row)
        else:
            dropped["too_hard" if rate < low else "too_easy"] += 1
    if not kept:
        raise NoTrainingRows(
            f"no question has a pass rate of {low:g}..{high:g}: {dropped['too_hard']} are below, "
            f"{dropped['too_easy']} above",
            param="hyperparameters.data.min_pass_rate",
        )
    return kept, dropped


def _judged(completions: Sequence[Mapping[str, Any]]) -> list[float]:
    return [
        float(one["reward"])
        for one in completions
        if one["reward"] is not None and one["status"] not in MASKED
    ]


def _whole_lines(path: Path) -> list[str]:
    lines = path.read_text().split("\n")
    return lines[:-1]
