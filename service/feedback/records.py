"""What the loop keeps: answers, feedback on them, verified queries. Times are Unix seconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from service.ids import new_id

Rating = Literal["positive", "negative"]
Source = Literal["confirmed", "corrected"]
MAX_SQL_CHARS = 100_000
"""Of a correction; a longer answer of the model is remembered without its SQL."""
MAX_COMMENT_CHARS = 4000


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer of /generate, as much of it as feedback needs."""

    request_id: str
    """Of the answer; where a caller uses one id twice, the later answer is meant."""
    db_id: str
    database_sha256: str
    question: str
    evidence: str
    sql: str | None
    """SQLite's, before it is transpiled; None where there was none."""
    status: str
    model: str
    prompt_sha256: str
    verified_query_id: str | None = None
    """The verified query that this answer is, where one was found."""
    follow_up: bool = False
    """The question needs earlier ones to be understood: it never becomes a verified query."""
    id: str = field(default_factory=lambda: new_id("an"))
    created_at: float = field(default_factory=time.time)

    def storable(self) -> "AnswerRecord":
        """The same without what a database may refuse: NUL, halves of surrogate pairs."""
        sql = self.sql if self.sql and len(self.sql) <= MAX_SQL_CHARS else None
        return replace(
            self,
            question=plain(self.question),
            evidence=plain(self.evidence),
            sql=None if sql is None else plain(sql),
            model=plain(self.model),
        )


@dataclass(frozen=True, slots=True)
class Given:
    """What a person says of an answer; `by` is the fingerprint of the API key, if keys are used."""

    request_id: str
    rating: Rating
    sql: str | None = None
    comment: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """SQL that ran in the sandbox: on which file, and which columns the engine read."""

    sql: str
    database_sha256: str
    reads: Sequence[str]


@dataclass(frozen=True, slots=True)
class VerifiedQuery:
    """A question with SQL that a person confirmed or corrected, and that ran in the sandbox."""

    id: str
    db_id: str
    database_sha256: str
    question: str
    evidence: str
    sql: str
    source: Source
    request_id: str
    feedback_id: str
    verified_by: str | None
    verified_at: float
    reads: tuple[str, ...] = ()
    """Tables and columns (`table.column`) that the engine read, sorted."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """One statement about one answer; `number` counts those on the same answer from 1."""

    id: str
    answer_id: str
    request_id: str
    number: int
    db_id: str
    question: str
    evidence: str
    answer_sql: str | None
    rating: Rating
    sql: str | None
    comment: str | None
    given_by: str | None
    created_at: float
    verified_query_id: str | None

    def says(self, given: Given) -> bool:
        """True if `given` is this very statement, said again."""
        mine = (self.rating, self.sql, self.comment, self.given_by)
        return mine == (given.rating, given.sql, given.comment, given.by)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of feedback."""

    feedback: Feedback
    verified_query: VerifiedQuery | None


def plain(text: str) -> str:
    """Text that every database stores."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
