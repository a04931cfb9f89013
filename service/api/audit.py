"""POST /audit: which questions of a dataset are unfit to train or evaluate on?"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, model_validator

from service.api.deps import Parts, PartsDep
from service.api.hangup import while_connected
from service.audit.kinds import chosen
from service.audit.markdown import as_markdown
from service.audit.page import as_html
from service.audit.report import as_dict, as_json, question_id
from service.audit.run import audit as run_audit
from service.audit.subject import Audit, Options, Subject
from service.errors import InvalidRequest, TooLarge
from service.jobs.datasets import find_dataset, load_dataset
from service.strict import StrictModel
from service.text2sql.questions import sort_rows

router = APIRouter(tags=["audit"])

Rows = Annotated[list[dict[str, Any]], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=4096)]


class AuditBody(StrictModel):
    """A dataset by name or its rows, and what it must share nothing with."""

    dataset: Name | None = None
    questions: Rows | None = None
    against: Name | Rows | None = None
    slow_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    drop: list[str] | None = None
    format: Literal["json", "markdown", "html"] = "json"

    @model_validator(mode="after")
    def _one_dataset(self) -> "AuditBody":
        if (self.dataset is None) == (self.questions is None):
            raise ValueError("give either `dataset` or `questions`")
        return self


class AuditReport(BaseModel):
    """What was found; docs/audit.md describes each field."""

    dataset: str
    against: list[str]
    questions: int
    kept: int
    dropped: int
    rules: dict[str, Any]
    summary: list[dict[str, Any]]
    databases: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    why: list[dict[str, Any]]
    timings: dict[str, Any]
    cleaned: list[str]
    """Ids of the questions that are fit, in order."""
    cleaned_questions: list[dict[str, Any]] | None
    """The rows that are fit as they came in, where the request held rows."""


@router.post(
    "/audit",
    response_model=AuditReport,
    responses={200: {"content": {"text/markdown": {}, "text/html": {}}}},
)
async def audit(body: AuditBody, parts: PartsDep, request: Request) -> Response:
    """Run every gold in the sandbox and report each that is broken, slow, empty or ambiguous.

    Questions asked twice are found too, and, with `against`, what another dataset shares.
    """
    return await while_connected(request, _answer(body, parts))


async def _answer(body: AuditBody, parts: Parts) -> Response:
    options = Options(body.slow_s, chosen(body.drop), parts.settings.audit_timeout_s)
    named = body.questions if body.dataset is None else body.dataset
    subject = await asyncio.to_thread(
        _subject, named, "questions" if body.dataset is None else "dataset", parts
    )
    others = []
    if body.against is not None:
        others = [await asyncio.to_thread(_subject, body.against, "against", parts)]
    # Half of the workers at most, so that /verify goes on.
    concurrency = max(1, parts.settings.workers // 2)
    done = await run_audit(parts.executor, subject, others, options, concurrency=concurrency)
    return await asyncio.to_thread(_response, body, done)


def _subject(given: str | Sequence[dict[str, Any]] | None, param: str, parts: Parts) -> Subject:
    """Blocks while the file is read; raises UnknownDataset, InvalidRequest, TooLarge."""
    if isinstance(given, str):
        name = given
        dataset = load_dataset(find_dataset(given, parts.settings.data_dirs, param), param)
        questions, faults = dataset.questions, dataset.faults
    else:
        name = param
        try:
            questions, faults = sort_rows(given or [], param)
        except InvalidRequest as error:
            raise InvalidRequest(error.message, param=param) from error
    if len(questions) > parts.settings.max_audit_questions:
        raise TooLarge(
            f"{len(questions)} questions; this server takes {parts.settings.max_audit_questions} "
            "in one request (VERISQL_MAX_AUDIT_QUESTIONS); `verisql audit` has no bound",
            param=param,
        )
    return Subject(name, questions, parts.registry, faults)


def _response(body: AuditBody, done: Audit) -> Response:
    report = as_dict(done)
    if body.format == "markdown":
        return Response(as_markdown(report), media_type="text/markdown")
    if body.format == "html":
        return Response(as_html(report), media_type="text/html")
    why = done.why()
    kept = [row for row in range(len(done.subject.questions)) if row not in why]
    report["cleaned"] = [question_id(done, row) for row in kept]
    rows = body.questions
    report["cleaned_questions"] = None if rows is None else [rows[row] for row in kept]
    return Response(as_json(report), media_type="application/json")
