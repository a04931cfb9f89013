"""POST /generate: a question and a database in, SQL out."""

from dataclasses import dataclass, fields
from typing import Annotated

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from service.api.deps import PartsDep
from service.api.hangup import while_connected
from service.engine.generator import GenerateAnswer, GenerateTask
from service.errors import TooLarge
from service.logs import request_id
from service.settings import Settings
from service.strict import StrictModel

router = APIRouter(tags=["generate"])


class GenerateBody(StrictModel):
    """A question about one database."""

    question: Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
    db_id: Annotated[str, Field(min_length=1, max_length=500)]
    evidence: Annotated[str, Field(description="Knowledge that the question builds on.")] = ""
    temperature: Annotated[float, Field(ge=0, le=2, description="0 is greedy.")] = 0.0
    seed: Annotated[int | None, Field(ge=0, lt=2**31, description="Of the sampling.")] = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768, description="Longest answer.")] = 512
    execute: Annotated[bool, Field(description="Also run the query, and give its rows.")] = False
    max_rows: Annotated[int, Field(ge=1, le=10_000, description="Rows of the result.")] = 100

    def task(self, settings: Settings) -> GenerateTask:
        """The generator's input; raises TooLarge over the server's bounds."""
        for name, text in (("question", self.question), ("evidence", self.evidence)):
            if len(text) > settings.max_question_chars:
                raise TooLarge(
                    f"{name} has {len(text)} characters; this server takes "
                    f"{settings.max_question_chars} (VERISQL_MAX_QUESTION_CHARS)",
                    param=name,
                )
        if self.max_tokens >= settings.max_model_len:
            raise TooLarge(
                f"max_tokens is {self.max_tokens}; prompt and answer together have "
                f"{settings.max_model_len} tokens (VERISQL_MAX_MODEL_LEN)",
                param="max_tokens",
            )
        return GenerateTask(**self.model_dump())


@dataclass(frozen=True, slots=True)
class GenerateReply(GenerateAnswer):
    """The answer, under the request's id."""

    request_id: str


@router.post("/generate", response_model=GenerateReply)
async def generate(body: GenerateBody, parts: PartsDep, request: Request) -> Response:
    """Turn a question into SQL, and with `execute` into rows.

    SQL that does not compile is still an answer: its candidate is not `valid` and says why. An
    answer without SQL has the status `no_sql`. 503 while the model starts or is off.
    """
    work = parts.generator.generate(body.task(parts.settings))
    answer = await while_connected(request, work)
    parts.metrics.count_generation(answer)
    given = {field.name: getattr(answer, field.name) for field in fields(answer)}
    reply = GenerateReply(**given, request_id=request_id.get())
    return Response(orjson.dumps(reply), media_type="application/json")
