"""Chat completions as OpenAI writes them: the request, the answer, and the chunks of a stream."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from service.engine.base import EngineModel, Message, Sampling

_LIKELIEST = 20
"""As many as vLLM gives unless it is told otherwise (--max-logprobs)."""
_ID = re.compile(r"token_id:(\d+)")


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


def next_request(model: EngineModel, tokens: Sequence[int]) -> dict[str, Any]:
    """The body of POST /v1/completions that has vLLM tell what may come after given tokens.

    Not `prompt_logprobs`, which would tell of all tokens at once: with adapters it ends vLLM 0.32
    on a CPU (add_lora_logits takes the rows for those of the requests).
    """
    return {
        "model": model.served_name,
        "prompt": list(tokens),
        "temperature": 0.0,
        "max_tokens": 1,
        "logprobs": _LIKELIEST,
        "return_tokens_as_token_ids": True,
    }


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


class NextLogprobs(BaseModel):
    """For each new token: what could have come, as `token_id:123`."""

    top_logprobs: list[dict[str, float] | None] | None = None


class NextChoice(BaseModel):
    """A choice of one token."""

    logprobs: NextLogprobs | None = None


class Next(BaseModel):
    """The answer to next_request."""

    choices: list[NextChoice]

    def by_id(self) -> dict[int, float] | None:
        """Log-probability by token id; None where the server does not tell."""
        told = self.choices[0].logprobs if self.choices else None
        first = told.top_logprobs[0] if told and told.top_logprobs else None
        found = {_ID.fullmatch(name): logprob for name, logprob in (first or {}).items()}
        return {int(m[1]): logprob for m, logprob in found.items() if m} or None
