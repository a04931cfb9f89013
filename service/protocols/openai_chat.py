"""POST /v1/chat/completions: /generate for clients of OpenAI's protocol (docs/openai.md)."""

import time
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from service import __version__
from service.api.answering import GenerateReply, answer_question
from service.api.deps import Parts, PartsDep
from service.api.errors import OpenAIErrorBody
from service.api.events import EVENT_STREAM, event_stream
from service.api.hangup import while_connected
from service.generation.stages import Report, unreported
from service.generation.task import GenerateTask
from service.logs import request_id
from service.protocols.openai_answer import ChatCompletion, Heading, chat_completion, fingerprint
from service.protocols.openai_request import ChatBody
from service.protocols.openai_stream import ChatStream, is_live, stages_only
from service.protocols.openai_target import HEADER, Target, find_target, served_names

router = APIRouter(
    prefix="/v1",
    tags=["openai"],
    responses={"default": {"model": OpenAIErrorBody, "description": "Every error."}},
)


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}},
)
async def chat_completions(
    body: ChatBody,
    parts: PartsDep,
    request: Request,
    database: Annotated[str | None, Header(alias=HEADER)] = None,
) -> Response:
    """Turn the last question of a conversation into SQL.

    The database is that of `model` (`verisql/<db_id>`) or of the header. The content is the SQL in
    a fence, or in plain words why there is none; `verisql` has the answer as of POST /generate.
    """
    served = served_names(parts.engine.model)
    target = find_target(body.model, database, served, body.options.model)
    asked = body.generate_body(target)
    with body.own_names(target):
        task = asked.task(parts.settings)
    heading = _heading(target, task, parts)

    async def work(report: Report = unreported) -> GenerateReply:
        with body.own_names(target):
            return await answer_question(task, parts, report)

    if body.stream:
        live = is_live(task)
        stream = ChatStream(heading, body.choices, live=live, with_usage=body.usage_asked)
        told = work if live else lambda report: work(stages_only(report))
        return await event_stream(request, told, stream)
    reply = await while_connected(request, work())
    done = chat_completion(heading, reply, body.choices)
    return Response(orjson.dumps(done), media_type="application/json")


def _heading(target: Target, task: GenerateTask, parts: Parts) -> Heading:
    model = parts.engine.model
    live = (model.name, model.revision, model.adapter) if model else (None, None, None)
    template = task.template or str(parts.settings.template)
    return Heading(
        id=f"chatcmpl-{request_id.get()}",
        created=int(time.time()),
        model=target.called,
        system_fingerprint=fingerprint(__version__, *live, task.model, template),
    )
