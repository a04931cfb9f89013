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


def score_request(model: EngineModel, tokens: Sequence[int]) -> dict[str, Any]:
    """The body of POST /v1/completions that has vLLM tell what it makes of given tokens."""
    return {
        "model": model.served_name,
        "prompt": list(tokens),
        "temperature": 0.0,
        "max_tokens": 1,
        "prompt_logprobs": 0,
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


class ScoredChoice(BaseModel):
    """What vLLM adds to a choice: by token id, for each place of the prompt but the first."""

    prompt_logprobs: list[dict[str, TokenLogprob] | None] | None = None


class Scored(BaseModel):
    """The answer to score_request."""

    choices: list[ScoredChoice]

    def logprobs(self, tokens: Sequence[int]) -> list[float] | None:
        """Of each token after the first; None where the server does not tell of all of them."""
        rows = self.choices[0].prompt_logprobs if self.choices else None
        if rows is None or len(rows) != len(tokens):
            return None
        told = [(row or {}).get(str(n)) for n, row in zip(tokens[1:], rows[1:], strict=True)]
        found = [one.logprob for one in told if one is not None]
        return found if len(found) == len(told) else None
