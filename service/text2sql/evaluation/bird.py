"""The file of answers that BIRD's evaluation reads, predict_dev.json."""

import json
from collections.abc import Mapping, Sequence

from service.text2sql.questions import Question

SEPARATOR = "\t----- bird -----\t"


def submission(questions: Sequence[Question], answers: Mapping[int, str | None]) -> bytes:
    """A JSON object from the question's index to its SQL, the separator and the db_id.

    `answers` has SQL by index in the file. BIRD's evaluation (AlibabaResearch/DAMO-ConvAI,
    bird/llm/src/evaluation.py, package_sqls) pairs answers with golds by position and splits each
    at the separator, so every question of the file has its line, an empty one without an answer,
    and an answer that holds the separator has spaces for its tabs.
    """
    rows = {str(n): f"{_sql(answers.get(n))}{SEPARATOR}{q.db_id}" for n, q in enumerate(questions)}
    return json.dumps(rows, indent=4).encode()


def _sql(sql: str | None) -> str:
    return (sql or "").replace(SEPARATOR, SEPARATOR.replace("\t", " "))
