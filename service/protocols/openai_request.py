"""The body of POST /v1/chat/completions, and what it asks of /generate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field, ValidationError

from service.api.errors import invalid
from service.api.generate import GenerateBody, GenerateOptions
from service.errors import InvalidRequest, UnsupportedValue, VeriSQLError
from service.protocols.openai_conversation import ChatMessage, Conversation, read_conversation
from service.protocols.openai_target import Target
from service.strict import StrictModel

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([],),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
}
"""Fields that would change the meaning of the answer, by the values that do not."""
_OUR_NAMES = {"question": "messages", "history": "messages"}


class ChatOptions(GenerateOptions):
    """VeriSQL's own options (`extra_body={"verisql": {...}}`), as of POST /generate."""

    evidence: Annotated[
        str, Field(description="Knowledge that the question builds on; beside system messages.")
    ] = ""
    model: Annotated[
        str | None,
        Field(max_length=500, description="A served model, beside a database in `model`."),
    ] = None
    candidates: Annotated[
        int | None,
        Field(ge=1, le=64, description="Candidates that vote; the best `n` are choices."),
    ] = None


class StreamOptions(StrictModel):
    """What a stream says besides."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[bool | None, Field(description="Ignored.")] = None


_Ignored = Annotated[Any, Field(description="Ignored.")]
_Neutral = Annotated[Any, Field(description="Refused unless it has no effect.")]


class ChatBody(StrictModel):
    """A chat completion as OpenAI's clients ask for it; null is as good as absent."""

    model: Annotated[str, Field(description="`verisql/<db_id>`; see docs/openai.md.")]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    n: Annotated[int | None, Field(description="Choices, best first.")] = None
    temperature: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    verisql: ChatOptions | None = None
    top_p: _Neutral = None
    presence_penalty: _Neutral = None
    frequency_penalty: _Neutral = None
    logit_bias: _Neutral = None
    logprobs: _Neutral = None
    top_logprobs: _Neutral = None
    stop: _Neutral = None
    tools: _Neutral = None
    tool_choice: _Neutral = None
    functions: _Neutral = None
    function_call: _Neutral = None
    response_format: _Neutral = None
    modalities: _Neutral = None
    audio: _Neutral = None
    web_search_options: _Neutral = None
    user: _Ignored = None
    safety_identifier: _Ignored = None
    prompt_cache_key: _Ignored = None
    prompt_cache_retention: _Ignored = None
    metadata: _Ignored = None
    store: _Ignored = None
    service_tier: _Ignored = None
    parallel_tool_calls: _Ignored = None
    prediction: _Ignored = None
    reasoning_effort: _Ignored = None
    verbosity: _Ignored = None

    @property
    def options(self) -> ChatOptions:
        """VeriSQL's own, or their defaults."""
        return self.verisql or ChatOptions()

    @property
    def choices(self) -> int:
        """How many are asked for."""
        return 1 if self.n is None else self.n

    @property
    def usage_asked(self) -> bool:
        """Whether a stream is to end with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def generate_body(self, target: Target) -> GenerateBody:
        """The same as a body of POST /generate.

        Raises InvalidRequest, UnsupportedValue, TooLarge; `param` is as the caller knows it.
        """
        self._refuse_what_has_an_effect()
        with self.own_names(target):
            asked = self._asked(read_conversation(self.messages), target)
            try:
                return GenerateBody(**asked)
            except ValidationError as error:
                raise invalid(error) from error

    @contextmanager
    def own_names(self, target: Target) -> Iterator[None]:
        """Errors of /generate name the fields of this request."""
        try:
            yield
        except VeriSQLError as error:
            error.param = self._own_name(error.param, target) if error.param else None
            raise

    def _own_name(self, param: str, target: Target) -> str:
        first = param.partition(".")[0]
        if first in GenerateOptions.model_fields:
            return f"verisql.{param}"
        limit = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
        hint = "verisql.evidence" if self.options.evidence else "messages"
        own = _OUR_NAMES | {"db_id": target.param, "max_tokens": limit, "evidence": hint}
        return own.get(first, param)

    def _refuse_what_has_an_effect(self) -> None:
        for name, neutral in NEUTRAL.items():
            value = getattr(self, name)
            if value is not None and value not in neutral:
                shown = "".join(f", or give {other!r}" for other in neutral)
                raise UnsupportedValue(
                    f"{name} is not supported here: leave it out{shown} (was {value!r:.200})",
                    param=name,
                )
        if self.choices > 1 and self.options.dialect != "sqlite":
            raise UnsupportedValue(
                "another dialect is given for one choice only: leave n out, or the dialect",
                param="verisql.dialect",
            )

    def _asked(self, said: Conversation, target: Target) -> dict[str, Any]:
        options = self.options
        given = (self.max_tokens, self.max_completion_tokens)
        limits = {limit for limit in given if limit is not None}
        if len(limits) > 1:
            raise InvalidRequest(
                f"max_tokens is {self.max_tokens} and max_completion_tokens "
                f"{self.max_completion_tokens}: give one",
                param="max_completion_tokens",
            )
        asked = options.model_dump(exclude={"candidates", "evidence", "model"})
        hints = [hint for hint in (said.evidence, options.evidence) if hint]
        return asked | {
            "question": said.question,
            "db_id": target.db_id,
            "evidence": "\n".join(hints),
            "history": [{"question": t.question, "sql": t.sql} for t in said.history],
            "n": self._candidates(),
            "temperature": self.temperature,
            "seed": self.seed,
            "model": target.model,
            "clarify": options.clarify and not said.replies,
            "verified": options.verified and self.choices == 1,
        } | ({"max_tokens": limits.pop()} if limits else {})  # fmt: skip

    def _candidates(self) -> int:
        given = self.options.candidates
        if given is not None and given < self.choices:
            raise InvalidRequest(
                f"n is {self.n}, but there are only {given} candidates to choose from",
                param="verisql.candidates",
            )
        return self.choices if given is None else given
