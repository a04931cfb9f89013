"""A chat completion as OpenAI streams it: `data: {chunk}` lines, then `data: [DONE]`.

    live   the model's own words as they come: one candidate, no repair, SQLite's dialect
    held   the final content in one piece for each choice; what is being done comes as comments

A live stream whose words do not hold the final SQL is completed by the answer's content. The last
chunk that has a finish_reason has `verisql`, the answer as of POST /generate.
"""

from dataclasses import asdict
from typing import Any

import orjson

from service.api.answering import GenerateReply
from service.generation.stages import Piece, Report, Stage
from service.generation.task import GenerateTask
from service.protocols.openai_answer import ChatChoice, Heading, answer_text, choices, usage
from service.text2sql.completion import extract_sql

_DONE = b"data: [DONE]\n\n"
_ANSWERED = ("checking", "executing", "repairing")


def is_live(task: GenerateTask) -> bool:
    """Whether the model's words can be the content."""
    return task.n == 1 and not task.repair and task.dialect == "sqlite"


def stages_only(report: Report) -> Report:
    """Leaves out the model's words."""

    def tell(event: Stage | Piece) -> None:
        if isinstance(event, Stage):
            report(event)

    return tell


class ChatStream:
    """The form of one stream (api/events.py)."""

    def __init__(self, heading: Heading, n: int, *, live: bool, with_usage: bool) -> None:
        self._heading = asdict(heading) | {"object": "chat.completion.chunk"}
        self._n = n
        self._live = live
        self._with_usage = with_usage
        self._said = ""

    def opens(self, event: Stage | Piece) -> bool:
        """Not before the model answers: until then a failure has a status of its own."""
        return isinstance(event, Piece) or event.stage in _ANSWERED

    def begin(self) -> bytes:
        """The role of the first choice."""
        return self._chunk(0, {"role": "assistant", "content": ""})

    def frame(self, event: Stage | Piece) -> bytes:
        """A piece of the content, or a comment."""
        if isinstance(event, Stage):
            return f": {event.stage}, {event.detail}\n\n".encode()
        self._said += event.text
        return self._chunk(0, {"content": event.text})

    def done(self, reply: GenerateReply) -> bytes:
        """What is still to be said, how each choice ended, the usage if it was asked for."""
        final = choices(reply, self._n)
        frames = [self._rest(reply)] if self._live else [self._whole(one) for one in final]
        for choice in final:
            told = {"verisql": reply} if choice is final[-1] else {}
            frames.append(self._chunk(choice.index, {}, choice.finish_reason, told))
        if self._with_usage:
            last = self._heading | {"choices": [], "usage": usage(reply)}
            frames.append(_data(last))
        return b"".join([*frames, _DONE])

    def failed(self, body: bytes) -> bytes:
        """The error body in the place of a chunk: clients raise it."""
        return b"data: %b\n\n%b" % (body, _DONE)

    def _rest(self, reply: GenerateReply) -> bytes:
        """Nothing where the words of the model hold the answer."""
        if reply.sql is not None and extract_sql(self._said, "auto") == reply.sql:
            return b""
        gap = "\n\n" if self._said else ""
        return self._chunk(0, {"content": gap + answer_text(reply)})

    def _whole(self, choice: ChatChoice) -> bytes:
        role = {} if choice.index == 0 else {"role": "assistant"}
        return self._chunk(choice.index, role | {"content": choice.message.content})

    def _chunk(
        self,
        index: int,
        delta: dict[str, str],
        finish_reason: str | None = None,
        told: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        without = {"usage": None} if self._with_usage else {}
        return _data(self._heading | {"choices": [choice]} | without | (told or {}))


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(value)
