"""POST /generate: a question and a database in, SQL out; with `stream` as server-sent events."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from service.api.answering import GenerateReply, answer_question
from service.api.deps import Parts, PartsDep
from service.api.events import EVENT_STREAM, NamedEvents, event_stream
from service.api.hangup import while_connected
from service.errors import TooLarge
from service.generation.stages import Report, unreported
from service.generation.task import GenerateTask
from service.settings import Settings
from service.strict import StrictModel
from service.text2sql.prompt import Turn

router = APIRouter(tags=["generate"])

_Question = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class TurnBody(StrictModel):
    """An earlier question of the conversation, and the SQL that answered it."""

    question: _Question
    sql: Annotated[str, StringConstraints(min_length=1)]


class GenerateOptions(StrictModel):
    """How to answer: what the question itself does not say."""

    dialect: Annotated[
        str, Field(max_length=50, description="Of `sql` in the answer, by sqlglot's names.")
    ] = "sqlite"
    execute: Annotated[bool, Field(description="Also run the query, and give its rows.")] = False
    max_rows: Annotated[int, Field(ge=1, le=10_000, description="Rows of the result.")] = 100
    vote: Annotated[
        bool, Field(description="Choose among several candidates by their results.")
    ] = True
    repair: Annotated[
        int, Field(ge=0, le=5, description="Times that a failing candidate goes back.")
    ] = 0
    template: Annotated[
        str | None, Field(max_length=100, description="Prompt template; default: the setting.")
    ] = None
    values: Annotated[
        bool | None, Field(description="Look words up in the database; default: the setting.")
    ] = None
    clarify: Annotated[
        bool, Field(description="May answer with a question back, or that it cannot answer.")
    ] = True
    verified: Annotated[
        bool, Field(description="May answer with the verified query of the same question.")
    ] = True
    remember: Annotated[
        bool, Field(description="Keep the answer, so that feedback can be given on it.")
    ] = True
    debug: Annotated[bool, Field(description="Give the prompt and completions too.")] = False


class GenerateBody(GenerateOptions):
    """A question about one database."""

    question: _Question
    db_id: Annotated[str, Field(min_length=1, max_length=500)]
    evidence: Annotated[str, Field(description="Knowledge that the question builds on.")] = ""
    n: Annotated[int, Field(ge=1, le=64, description="Candidates, from one engine call.")] = 1
    temperature: Annotated[
        float | None,
        Field(ge=0, le=2, description="0 is greedy; default 0, or 0.8 for several candidates."),
    ] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**31, description="Of the sampling.")] = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768, description="Longest answer.")] = 512
    model: Annotated[
        str | None,
        Field(min_length=1, max_length=500, description="A served model; default: the live one."),
    ] = None
    history: Annotated[
        list[TurnBody], Field(max_length=20, description="Earlier turns, oldest first.")
    ] = []
    stream: Annotated[bool, Field(description="Answer with server-sent events.")] = False

    def task(self, settings: Settings) -> GenerateTask:
        """The generator's input; raises TooLarge over the server's bounds."""
        said = [("question", self.question), ("evidence", self.evidence)]
        said += [(f"history.{n}", t.question + t.sql) for n, t in enumerate(self.history)]
        for name, text in said:
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
        given = self.model_dump(exclude={"stream", "history"})
        turns = tuple(Turn(turn.question, turn.sql) for turn in self.history)
        return GenerateTask(**given, history=turns)


@router.post(
    "/generate",
    response_model=GenerateReply,
    responses={200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}},
)
async def generate(body: GenerateBody, parts: PartsDep, request: Request) -> Response:
    """Turn a question into SQL, and with `execute` into rows.

    SQL that does not compile is still an answer: its candidate is not `valid` and says why. An
    answer without SQL has the status `no_sql`. 503 while the model starts or is off. With `stream`
    the events are `stage`, `text`, and at last `done` with the answer or `error` with the one error
    body; a caller that closes the connection stops the model.
    """
    task = body.task(parts.settings)
    if body.stream:
        return await event_stream(
            request, lambda report: _reply(task, parts, report), NamedEvents()
        )
    reply = await while_connected(request, _reply(task, parts))
    return Response(reply, media_type="application/json")


async def _reply(task: GenerateTask, parts: Parts, report: Report = unreported) -> bytes:
    return orjson.dumps(await answer_question(task, parts, report))
