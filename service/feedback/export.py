"""Verified queries as training rows. Pure.

The fields are BIRD's (question_id, db_id, question, evidence, SQL, difficulty), so that training
and `verisql audit` read them as they are; `source` and `verified_at` say where a row comes from.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from service.feedback.records import VerifiedQuery


def training_row(query: VerifiedQuery) -> dict[str, Any]:
    """One row; `verified_at` in Unix seconds."""
    return {
        "question_id": query.id,
        "db_id": query.db_id,
        "question": query.question,
        "evidence": query.evidence,
        "SQL": query.sql,
        "difficulty": "unrated",
        "source": "feedback",
        "verified_at": query.verified_at,
    }


def as_json_lines(queries: Iterable[VerifiedQuery]) -> bytes:
    """A row a line."""
    return b"".join(
        orjson.dumps(training_row(query), option=orjson.OPT_APPEND_NEWLINE) for query in queries
    )
