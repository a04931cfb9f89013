"""The store of the loop: answers, feedback on them, verified queries. SQLAlchemy Core.

Feedback is only added, never changed: the last statement on an answer holds. The number of a
statement on its answer is unique, so of two that come at once one is the later; the other looks
again. What a statement does to verified queries is in its own transaction.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import Conflict, Unavailable, UnknownVerifiedQuery
from service.feedback.match import question_key, same_question
from service.feedback.records import AnswerRecord, Feedback, Given, Outcome, Proof, VerifiedQuery
from service.feedback.statement import Statement, made_of
from service.storage import Storage, whole

MAX_STATEMENTS = 100
"""On one answer."""
_TRIES = 5

_metadata = sa.MetaData()
_answers = sa.Table(
    "answers",
    _metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("request_id", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", sa.Float, nullable=False, index=True),
    sa.Column("db_id", sa.Text, nullable=False),
    sa.Column("database_sha256", sa.String(64), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("sql", sa.Text),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("prompt_sha256", sa.String(64), nullable=False),
    sa.Column("verified_query_id", sa.String(40)),
    sa.Column("follow_up", sa.Boolean, nullable=False),
)
_feedback = sa.Table(
    "feedback",
    _metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("answer_id", sa.String(40), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("db_id", sa.String(500), nullable=False, index=True),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("answer_sql", sa.Text),
    sa.Column("rating", sa.String(16), nullable=False),
    sa.Column("sql", sa.Text),
    sa.Column("comment", sa.Text),
    sa.Column("given_by", sa.String(64)),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("verified_query_id", sa.String(40)),
    sa.UniqueConstraint("answer_id", "number"),
)
_verified = sa.Table(
    "verified_queries",
    _metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("db_id", sa.String(500), nullable=False, index=True),
    sa.Column("database_sha256", sa.String(64), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("question_key", sa.String(64), nullable=False, index=True),
    sa.Column("sql", sa.Text, nullable=False),
    sa.Column("reads", sa.JSON, nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("feedback_id", sa.String(40), nullable=False),
    sa.Column("verified_by", sa.String(64)),
    sa.Column("verified_at", sa.Float, nullable=False),
    sa.Column("withdrawn_by", sa.String(40)),  # by which feedback, or _DELETED
)
_LIVE = _verified.c.withdrawn_by.is_(None)

_DELETED = "deleted"

Mark = tuple[int, int]
"""How many verified queries a database ever had, and how many of them have ended. Neither ever
gets less, so equal marks mean that nothing has changed."""


class FeedbackStore(Storage):
    """Async access to the tables above; any call raises as storage.py says."""

    _name = "the feedback store"
    _tables = (_answers, _feedback, _verified)

    @whole
    async def remember(self, answers: Sequence[AnswerRecord]) -> None:
        """Write answers; one whose request id is known takes its place."""
        rows = [asdict(answer.storable()) for answer in answers]
        known = _answers.c.request_id.in_([row["request_id"] for row in rows])
        for _ in range(_TRIES):  # another service may write the same id in between
            try:
                async with self._begin() as connection:
                    await connection.execute(sa.delete(_answers).where(known))
                    await connection.execute(sa.insert(_answers), rows)
                return
            except sa.exc.IntegrityError:
                continue
        raise Unavailable(
            "answers with the same request ids are written elsewhere", retry_after_s=1
        )

    async def answer(self, request_id: str) -> AnswerRecord | None:
        """The remembered answer of a request."""
        found = await self._rows(sa.select(_answers).where(_answers.c.request_id == request_id))
        return AnswerRecord(**found[0]) if found else None

    @whole
    async def forget(self, *, before: float, keep: int) -> None:
        """Drop answers from before that Unix time, and all but the `keep` latest."""
        oldest = sa.select(_answers.c.created_at).order_by(_answers.c.created_at.desc())
        async with self._begin() as connection:
            bound = (await connection.execute(oldest.offset(keep).limit(1))).scalar()
            limit = max(before, bound if bound is not None else before)
            await connection.execute(sa.delete(_answers).where(_answers.c.created_at <= limit))

    @whole
    async def replay(self, answer: AnswerRecord, given: Given) -> Outcome | None:
        """What the same statement did, if it is the last one on this answer and still holds."""
        async with self._begin() as connection:
            last = await _last(connection, answer)
            return await _replay(connection, last, given) if last else None

    @whole
    async def give(self, answer: AnswerRecord, given: Given, proof: Proof | None) -> Outcome:
        """Record a statement; with `proof`, its SQL becomes the verified query of the question.

        Raises Conflict after MAX_STATEMENTS on one answer.
        """
        answer = answer.storable()
        for _ in range(_TRIES):
            try:
                async with self._begin() as connection:
                    last = await _last(connection, answer)
                    if last and (earlier := await _replay(connection, last, given)):
                        return earlier
                    number = _next_number(answer, last)
                    statement = made_of(answer, given, number, proof)
                    await _record(connection, answer, statement)
                    return statement.outcome
            except sa.exc.IntegrityError:
                continue
        raise Conflict(
            f"feedback on {answer.request_id!r} comes from too many at once; send it again"
        )

    async def page(
        self, *, limit: int, after: str | None = None, db_id: str | None = None
    ) -> list[Feedback]:
        """Feedback, newest first, what is older than feedback id `after`."""
        rows = await self._rows(_page(_feedback, limit, after, db_id))
        return [Feedback(**row) for row in rows]

    async def verified_page(
        self, *, limit: int, after: str | None = None, db_id: str | None = None
    ) -> list[VerifiedQuery]:
        """Verified queries, newest first, those that are older than id `after`."""
        rows = await self._rows(_page(_verified, limit, after, db_id).where(_LIVE))
        return [_query(row) for row in rows]

    async def verified_of(self, db_id: str) -> list[VerifiedQuery]:
        """All verified queries of a database."""
        rows = await self._rows(sa.select(_verified).where(_verified.c.db_id == db_id, _LIVE))
        return [_query(row) for row in rows]

    async def marks(self) -> dict[str, Mark]:
        """What changes when the verified queries of a database do, by db_id."""
        c = _verified.c
        counts = (sa.func.count().label("every"), sa.func.count(c.withdrawn_by).label("ended"))
        rows = await self._rows(sa.select(c.db_id, *counts).group_by(c.db_id))
        return {row["db_id"]: (row["every"], row["ended"]) for row in rows}

    @whole
    async def delete(self, query_id: str) -> None:
        """Wipe what a verified query says; raises UnknownVerifiedQuery."""
        nothing = dict.fromkeys(("question", "evidence", "question_key", "sql"), "")
        gone = sa.update(_verified).where(_verified.c.id == query_id, _LIVE)
        async with self._begin() as connection:
            wiped = gone.values(**nothing, reads=[], withdrawn_by=_DELETED)
            if (await connection.execute(wiped)).rowcount == 0:
                raise UnknownVerifiedQuery(
                    f"there is no verified query {query_id[:64]!r}; GET /verified-queries lists all"
                )

    @whole
    async def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        async with self._begin() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


def _page(table: sa.Table, limit: int, after: str | None, db_id: str | None) -> sa.Select[Any]:
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(table.c.id < after)
    return query if db_id is None else query.where(table.c.db_id == db_id)


async def _last(connection: AsyncConnection, answer: AnswerRecord) -> Feedback | None:
    of_answer = sa.select(_feedback).where(_feedback.c.answer_id == answer.id)
    last = of_answer.order_by(_feedback.c.number.desc()).limit(1)
    row = (await connection.execute(last)).mappings().one_or_none()
    return Feedback(**row) if row else None


async def _replay(connection: AsyncConnection, last: Feedback, given: Given) -> Outcome | None:
    if not last.says(given):
        return None
    if last.verified_query_id is None:
        return Outcome(last, None)
    made = sa.select(_verified).where(_verified.c.id == last.verified_query_id, _LIVE)
    query = (await connection.execute(made)).mappings().one_or_none()
    return Outcome(last, _query(query)) if query else None


def _next_number(answer: AnswerRecord, last: Feedback | None) -> int:
    number = last.number + 1 if last else 1
    if number > MAX_STATEMENTS:
        raise Conflict(
            f"the answer {answer.request_id!r} has {MAX_STATEMENTS} statements, the most there may "
            "be; ask the question again",
            param="request_id",
        )
    return number


async def _record(connection: AsyncConnection, answer: AnswerRecord, statement: Statement) -> None:
    feedback, query = statement.outcome.feedback, statement.outcome.verified_query
    await connection.execute(sa.insert(_feedback).values(asdict(feedback)))
    ended = await _ended(connection, answer, statement)
    gone = sa.update(_verified).where(_verified.c.id.in_(ended), _LIVE)
    await connection.execute(gone.values(withdrawn_by=feedback.id))
    if query is not None:
        row = asdict(query) | {"reads": list(query.reads)}
        key = question_key(query.question, query.evidence)
        await connection.execute(sa.insert(_verified).values(**row, question_key=key))


async def _ended(
    connection: AsyncConnection, answer: AnswerRecord, statement: Statement
) -> list[str]:
    """Ids of the verified queries that the statement puts an end to."""
    feedback = statement.outcome.feedback
    mine = sa.select(_feedback.c.id).where(
        _feedback.c.answer_id == answer.id,
        _feedback.c.given_by.is_not_distinct_from(feedback.given_by),
    )
    suspects = sa.select(_verified).where(
        _verified.c.db_id == answer.db_id,
        _LIVE,
        (_verified.c.question_key == question_key(answer.question, answer.evidence))
        | _verified.c.feedback_id.in_(mine)
        | (_verified.c.id == answer.verified_query_id),
    )
    own = set((await connection.execute(mine)).scalars())
    found = [_query(row) for row in (await connection.execute(suspects)).mappings()]
    return [
        query.id
        for query in found
        if query.feedback_id in own
        or statement.ends(query, same=same_question(query.question, answer.question))
    ]


def _query(row: Any) -> VerifiedQuery:
    values = {k: v for k, v in row.items() if k not in ("question_key", "withdrawn_by")}
    return VerifiedQuery(**values | {"reads": tuple(values["reads"])})
