"""Chat completions as OpenAI writes them: the request, the answer, and the chunks of a stream."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from service.engine.base import EngineModel, Message, Sampling


def request(
    model: EngineModel, messages: Sequence[Message], sampling: Sampling, *, stream: bool
) -> dict[str, Any]:
    """The body of POST /v1/chat/completions; fields at their default are left out."""
    return (
        {
            "model": model.served_name,
            "messages": list(messages),
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
        }
        | ({} if sampling.seed is None else {"seed": sampling.seed})
        | ({"n": sampling.n} if sampling.n > 1 else {})
        | ({"logprobs": True} if sampling.logprobs else {})
        | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})
    )


class Model(BaseModel):
    """One entry of the list of models."""

    id: str


class Models(BaseModel):
    """The answer to GET /v1/models."""

    data: list[Model]


class Text(BaseModel):
    """A message, or the next piece of one."""

    content: str | None = None


class TokenLogprob(BaseModel):
    """One token's natural log-probability."""

    logprob: float


class Logprobs(BaseModel):
    """Those of a choice's tokens, or of a piece's."""

    content: list[TokenLogprob] | None = None


class Choice(BaseModel):
    """A whole choice has a message, a piece of one has a delta."""

    index: int = 0
    message: Text | None = None
    delta: Text | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class PromptDetails(BaseModel):
    """What the server tells of the prompt."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """Tokens of the request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Chat(BaseModel):
    """A whole answer, or one chunk of a stream: the last chunk has no choice, but the usage."""

    choices: list[Choice]
    usage: Usage | None = None
