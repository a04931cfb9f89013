"""An answer of /generate as OpenAI writes a chat completion. Pure."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

from service.api.answering import GenerateReply
from service.generation.task import Candidate

NO_SQL = "The model gave no SQL for this question."
_CANNOT = "This database cannot answer that question."
_TICKS = re.compile("`{3,}")


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What is said."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """One of the answers."""

    index: int
    message: AssistantMessage
    finish_reason: str
    logprobs: None = None


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """What is known of the prompt."""

    cached_tokens: int


@dataclass(frozen=True, slots=True)
class ChatUsage:
    """Tokens of all choices, candidates and repairs; 0 where the model was not asked."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens | None


@dataclass(frozen=True, slots=True)
class Heading:
    """What every chunk and every answer of a request says of it."""

    id: str
    created: int
    """Unix seconds."""
    model: str
    system_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletion(Heading):
    """A whole answer; `verisql` is that of POST /generate."""

    object: Literal["chat.completion"] = field(default="chat.completion")
    choices: list[ChatChoice]
    usage: ChatUsage
    verisql: GenerateReply


def chat_completion(heading: Heading, reply: GenerateReply, n: int) -> ChatCompletion:
    """The answer with at most `n` choices."""
    return ChatCompletion(
        id=heading.id,
        created=heading.created,
        model=heading.model,
        system_fingerprint=heading.system_fingerprint,
        choices=choices(reply, n),
        usage=usage(reply),
        verisql=reply,
    )


def choices(reply: GenerateReply, n: int) -> list[ChatChoice]:
    """The answer itself, then the other candidates: more votes, then valid, then more probable."""
    ranked = sorted(reply.candidates, key=lambda one: _rank(one, reply.sqlite_sql))
    first = ranked[0].finish_reason if ranked else "stop"
    said = [(answer_text(reply), first)]
    said += [(_fenced(one.sql) if one.sql else NO_SQL, one.finish_reason) for one in ranked[1:n]]
    return [ChatChoice(i, AssistantMessage(text), why) for i, (text, why) in enumerate(said)]


def answer_text(reply: GenerateReply) -> str:
    """The final SQL in a fence, or in plain words why there is none."""
    if reply.status in ("clarify", "cannot_answer"):
        return reply.clarification or _CANNOT
    if reply.sql is not None:
        return _fenced(reply.sql)
    if reply.sqlite_sql is not None:
        return f"The query cannot be put into {reply.dialect}: {'; '.join(reply.warnings)}"
    return NO_SQL


def usage(reply: GenerateReply) -> ChatUsage:
    """Tokens as OpenAI counts them."""
    told = reply.usage
    cached = None if told.cached_tokens is None else PromptTokens(told.cached_tokens)
    total = told.prompt_tokens + told.completion_tokens
    return ChatUsage(told.prompt_tokens, told.completion_tokens, total, cached)


def fingerprint(*configuration: str | None) -> str:
    """Changes when what answers changes: version, model, revision, adapter, template."""
    digest = hashlib.blake2b(repr(configuration).encode(), digest_size=5)
    return f"fp_{digest.hexdigest()}"


def _rank(one: Candidate, chosen: str | None) -> tuple[bool, int, bool, float]:
    return (one.sql != chosen, -one.votes, not one.valid, -(one.mean_logprob or 0.0))


def _fenced(sql: str) -> str:
    """In a fence that is longer than any in the SQL."""
    ticks = "`" * max((len(run) + 1 for run in _TICKS.findall(sql)), default=3)
    return f"{ticks}sql\n{sql}\n{ticks}"
