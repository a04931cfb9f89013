"""What an OpenAI-style conversation asks: the question, the hint, the earlier turns. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.errors import InvalidRequest, TooLarge, UnsupportedValue
from service.strict import is_unicode
from service.text2sql.completion import extract_sql
from service.text2sql.prompt import Turn

_LATEST_TURNS = 20
_MAX_MESSAGE_CHARS = 100_000
_HINTS = ("system", "developer")


class ChatMessage(BaseModel):
    """One message; what else clients send back of our own answers is left aside."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Any = Field(None, description="Text, or a list of parts of the type `text`.")
    tool_calls: Any = Field(None, description="None may be there.")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as POST /generate takes it."""

    question: str
    evidence: str
    history: tuple[Turn, ...]
    """The latest 20 turns that had SQL, oldest first."""
    replies: bool
    """The question is the reply to a question back, and holds both."""


def read_conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """Read messages in their order.

    A question is answered by the SQL in the next message of the assistant. An answer without SQL
    that ends in a question mark is a question back: together with the question before it goes in
    front of what the user says next. Other turns without SQL are left out. Raises InvalidRequest,
    UnsupportedValue, TooLarge; `param` is the message's place.
    """
    said = [(one.role, _text(one, place)) for place, one in enumerate(messages)]
    turns = [(role, text) for role, text in said if role not in _HINTS]
    if not turns or turns[-1][0] != "user" or not turns[-1][1].strip():
        last = f"messages.{len(messages) - 1}" if messages else "messages"
        raise InvalidRequest("the conversation must end with the user's question", param=last)
    evidence = "\n".join(text for role, text in said if role in _HINTS)
    history: list[Turn] = []
    asked = before = ""
    for role, text in turns:
        if role == "user":
            asked = f"{before}\n{text}" if before else text
        elif sql := extract_sql(text, "auto"):
            history += [Turn(asked, sql)] if asked.strip() else []
            asked = before = ""
        else:
            asks_back = bool(asked) and text.rstrip().endswith("?")
            asked, before = "", f"{asked}\n{text}" if asks_back else ""
    return Conversation(asked, evidence, tuple(history[-_LATEST_TURNS:]), bool(before))


def _text(message: ChatMessage, place: int) -> str:
    """All text of a message."""
    at = f"messages.{place}.content"
    if message.tool_calls:
        raise UnsupportedValue(
            "tools are not supported: leave tool calls out", param=f"messages.{place}.tool_calls"
        )
    parts = message.content if isinstance(message.content, list) else [message.content]
    texts = [_part(part, at if part is message.content else f"{at}.{n}")
             for n, part in enumerate(parts)]  # fmt: skip
    if not all(map(is_unicode, texts)):
        raise InvalidRequest(f"{at} holds half of a surrogate pair, which no text may", param=at)
    if sum(map(len, texts)) > _MAX_MESSAGE_CHARS:
        raise TooLarge(f"the message is over {_MAX_MESSAGE_CHARS} characters", param=at)
    return "\n".join(texts)


def _part(part: Any, at: str) -> str:
    match part:
        case None:
            return ""
        case str() | {"type": "text", "text": str()}:
            return part if isinstance(part, str) else str(part["text"])
        case {"type": str(kind)} if kind != "text":
            raise UnsupportedValue(
                f"{at} is of the type {kind[:100]!r}: only `text` is read here", param=at
            )
    shown = repr(part)[:200]
    raise InvalidRequest(f'{at} must be text or {{"type": "text", "text": ...}} (was {shown})',
                         param=at)  # fmt: skip
