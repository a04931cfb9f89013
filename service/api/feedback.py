"""/feedback and /verified-queries: judge answers, see and end what they have verified."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, StringConstraints

from service.api.auth import caller
from service.api.deps import PartsDep
from service.feedback.export import as_json_lines
from service.feedback.records import (
    MAX_COMMENT_CHARS,
    MAX_SQL_CHARS,
    Feedback,
    Given,
    Outcome,
    Rating,
    Source,
    VerifiedQuery,
    plain,
)
from service.strict import StrictModel

router = APIRouter(tags=["feedback"])

By = Annotated[str | None, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[
    str | None, Query(max_length=64, description="id of the last item of the page before")
]
DbId = Annotated[str | None, Query(max_length=500, description="only of this database")]


class FeedbackBody(StrictModel):
    """What a person says of an answer."""

    request_id: Annotated[
        str, Field(min_length=1, max_length=64, description="of the answer of POST /generate")
    ]
    rating: Rating
    sql: Annotated[
        str | None,
        StringConstraints(max_length=MAX_SQL_CHARS, pattern=r"\S"),
        Field(description="The right SQL, where the answer's is wrong; SQLite's dialect."),
    ] = None
    comment: Annotated[str | None, Field(max_length=MAX_COMMENT_CHARS)] = None

    def given(self, by: str | None) -> Given:
        """The statement, of the key with that fingerprint."""
        sql = None if self.sql is None else plain(self.sql.strip())
        comment = plain(self.comment) if self.comment else None
        return Given(self.request_id, self.rating, sql, comment, by)


class VerifiedQueryView(BaseModel):
    """A question with SQL that a person confirmed or corrected. Times are Unix seconds."""

    id: str
    db_id: str
    database_sha256: Annotated[str, Field(description="of the file that the SQL ran on")]
    question: str
    evidence: str
    sql: str
    source: Source
    request_id: str
    feedback_id: str
    verified_by: Annotated[str | None, Field(description="fingerprint of the API key")]
    verified_at: float

    @classmethod
    def of(cls, query: VerifiedQuery) -> "VerifiedQueryView":
        """The public side of a stored query."""
        return cls(**{name: getattr(query, name) for name in cls.model_fields})


class FeedbackReply(BaseModel):
    """What became of the feedback."""

    request_id: str
    feedback_id: str
    verified_query: VerifiedQueryView | None
    created_at: float

    @classmethod
    def of(cls, outcome: Outcome) -> "FeedbackReply":
        """The public side of an outcome."""
        query, feedback = outcome.verified_query, outcome.feedback
        return cls(
            request_id=feedback.request_id,
            feedback_id=feedback.id,
            verified_query=None if query is None else VerifiedQueryView.of(query),
            created_at=feedback.created_at,
        )


class FeedbackView(BaseModel):
    """One statement about one answer; the one with the highest `number` holds."""

    id: str
    request_id: str
    number: int
    db_id: str
    question: str
    evidence: str
    answer_sql: str | None
    rating: Rating
    sql: str | None
    comment: str | None
    given_by: Annotated[str | None, Field(description="fingerprint of the API key")]
    created_at: float
    verified_query_id: str | None

    @classmethod
    def of(cls, feedback: Feedback) -> "FeedbackView":
        """The public side of a statement."""
        return cls(**{name: getattr(feedback, name) for name in cls.model_fields})


class FeedbackPage(BaseModel):
    """Statements, newest first."""

    data: list[FeedbackView]
    has_more: bool


class VerifiedQueryPage(BaseModel):
    """Verified queries, newest first."""

    data: list[VerifiedQueryView]
    has_more: bool


@router.post("/feedback")
async def give_feedback(body: FeedbackBody, parts: PartsDep, by: By) -> FeedbackReply:
    """Confirm an answer, correct it, or call it wrong.

    `positive` without `sql` confirms the answer's SQL; `sql` corrects it. Either has to run in the
    sandbox (else 422 `sql_rejected` with the engine's message), and becomes the verified query of
    the question: the same question, or nearly the same, is then answered by it. `negative` alone
    withdraws what had confirmed the answer's SQL. The same feedback again gives the same reply;
    other feedback on the answer replaces the earlier, which stays in the history.
    """
    return FeedbackReply.of(await parts.feedback.give(body.given(by)))


@router.get("/feedback")
async def list_feedback(
    parts: PartsDep, limit: Limit = 50, after: After = None, db_id: DbId = None
) -> FeedbackPage:
    """Feedback, newest first, superseded statements among it."""
    found, has_more = await parts.feedback.page(limit=limit, after=after, db_id=db_id)
    return FeedbackPage(data=[FeedbackView.of(one) for one in found], has_more=has_more)


@router.get(
    "/feedback/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}}}},
)
async def export_feedback(parts: PartsDep, db_id: DbId = None) -> StreamingResponse:
    """Every verified query as a training row of BIRD's format, one JSON object a line."""
    pages = parts.feedback.every_verified(db_id)
    first: list[VerifiedQuery] = await anext(
        pages, []
    )  # what fails, fails before the answer begins
    return StreamingResponse(_lines(first, pages), media_type="application/x-ndjson")


async def _lines(
    first: list[VerifiedQuery], rest: AsyncIterator[list[VerifiedQuery]]
) -> AsyncIterator[bytes]:
    yield as_json_lines(first)
    async for queries in rest:
        yield as_json_lines(queries)


@router.get("/verified-queries")
async def list_verified_queries(
    parts: PartsDep, limit: Limit = 50, after: After = None, db_id: DbId = None
) -> VerifiedQueryPage:
    """Verified queries, newest first."""
    found, has_more = await parts.feedback.verified_page(limit=limit, after=after, db_id=db_id)
    return VerifiedQueryPage(data=[VerifiedQueryView.of(one) for one in found], has_more=has_more)


@router.delete("/verified-queries/{query_id}", status_code=204)
async def delete_verified_query(
    query_id: Annotated[str, Path(max_length=64)], parts: PartsDep
) -> None:
    """Delete a verified query for good; the feedback that made it stays."""
    await parts.feedback.delete(query_id)
