"""What a statement about an answer means for verified queries. Pure.

- SQL that was proven (a correction, or the answer's own that is confirmed) becomes the verified
  query of the question and ends every other one of the same question.
- Negative without SQL ends what says that the answer's SQL is right: the verified query that the
  answer was, and those of the same question with the same SQL. A correction that someone else gave
  stays: it agrees that the answer is wrong.
- Whoever speaks again takes back what he said before on the same answer (store.py).
"""

import time
from dataclasses import dataclass

from service.errors import InvalidRequest
from service.feedback.records import AnswerRecord, Feedback, Given, Outcome, Proof, VerifiedQuery
from service.ids import new_id


@dataclass(frozen=True, slots=True)
class Statement:
    """Feedback about to be recorded."""

    answer: AnswerRecord
    outcome: Outcome

    def ends(self, query: VerifiedQuery, *, same: bool) -> bool:
        """True if `query`, of the `same` question or not, no longer holds after this."""
        if self.outcome.verified_query is not None:
            return same
        if self.outcome.feedback.rating == "positive" or self.outcome.feedback.sql is not None:
            return False
        served = query.id == self.answer.verified_query_id
        return served or (same and _same_sql(query.sql, self.answer.sql))


def claimed_sql(answer: AnswerRecord, given: Given) -> str | None:
    """The SQL that is said to be right, if any; raises InvalidRequest for a contradiction."""
    if given.sql is not None:
        if given.rating == "negative" and _same_sql(given.sql, answer.sql):
            raise InvalidRequest(
                "sql is the answer's own, which the rating calls wrong; leave sql out, or rate it "
                "positive",
                param="sql",
            )
        return given.sql
    if given.rating == "negative":
        return None
    if answer.sql is None:
        raise InvalidRequest(
            f"the answer {answer.request_id!r} has no SQL to confirm (its status is "
            f"{answer.status!r}); send the right SQL as `sql`",
            param="sql",
        )
    return answer.sql


def made_of(answer: AnswerRecord, given: Given, number: int, proof: Proof | None) -> Statement:
    """The rows to be written. A follow-up question is not complete: it gets no verified query."""
    feedback_id, now = new_id("fb"), time.time()
    query = None
    if proof is not None and not answer.follow_up:
        query = _verified_by(proof, answer, given, feedback_id, now)
    feedback = Feedback(
        id=feedback_id,
        answer_id=answer.id,
        request_id=answer.request_id,
        number=number,
        db_id=answer.db_id,
        question=answer.question,
        evidence=answer.evidence,
        answer_sql=answer.sql,
        rating=given.rating,
        sql=given.sql,
        comment=given.comment,
        given_by=given.by,
        created_at=now,
        verified_query_id=query.id if query else None,
    )
    return Statement(answer, Outcome(feedback, query))


def _verified_by(
    proof: Proof, answer: AnswerRecord, given: Given, feedback_id: str, now: float
) -> VerifiedQuery:
    return VerifiedQuery(
        id=new_id("vq"),
        db_id=answer.db_id,
        database_sha256=proof.database_sha256,
        question=answer.question,
        evidence=answer.evidence,
        sql=proof.sql,
        source="confirmed" if _same_sql(proof.sql, answer.sql) else "corrected",
        request_id=answer.request_id,
        feedback_id=feedback_id,
        verified_by=given.by,
        verified_at=now,
        reads=tuple(proof.reads),
    )


def _same_sql(one: str, other: str | None) -> bool:
    return other is not None and one.strip().rstrip("; \n") == other.strip().rstrip("; \n")
