"""Put an answer together: from one piece, or from the many of a stream."""

from dataclasses import dataclass, field

from service.engine.base import Completion, Completions, EngineModel, OnText
from service.engine.failures import RETRY_AFTER_S, gone
from service.engine.wire import Chat, Choice, Usage
from service.errors import EngineUnavailable


@dataclass(slots=True)
class _Part:
    """What is known of one choice so far."""

    pieces: list[str] = field(default_factory=list)
    logprob: float = 0.0
    tokens: int = 0
    finish_reason: str | None = None

    def completion(self, tokens: int) -> Completion:
        """The choice; `tokens` counts where log-probabilities do not."""
        mean = self.logprob / self.tokens if self.tokens else None
        text, why = "".join(self.pieces), self.finish_reason or "stop"
        return Completion(text, self.tokens or tokens, why, mean)


class Gathered:
    """The `n` choices of one request as they come in."""

    def __init__(self, n: int, on_text: OnText | None = None) -> None:
        self._parts = [_Part() for _ in range(n)]
        self._on_text = on_text
        self._usage = Usage()

    def add(self, chat: Chat) -> None:
        """Take a whole answer or a chunk; hands its text over. Raises EngineUnavailable."""
        if chat.usage:
            self._usage = chat.usage
        for choice in chat.choices:
            self._take(choice)

    def finished(self) -> bool:
        """Whether the server has ended every choice."""
        return all(part.finish_reason for part in self._parts)

    def completions(self, model: EngineModel) -> Completions:
        """The answer as a whole; raises EngineUnavailable when a choice never came."""
        if not any(part.pieces or part.finish_reason for part in self._parts):
            raise _unavailable("answered without a choice")
        if not all(part.pieces or part.finish_reason for part in self._parts):
            raise _unavailable(f"gave fewer than the {len(self._parts)} choices asked for")
        usage = self._usage
        details = usage.prompt_tokens_details
        return Completions(
            tuple(map(_Part.completion, self._parts, self._shares())),
            usage.prompt_tokens,
            usage.completion_tokens,
            details.cached_tokens if details else None,
            model,
        )

    def _take(self, choice: Choice) -> None:
        if not 0 <= choice.index < len(self._parts):
            raise _unavailable(f"gave a choice {choice.index} of {len(self._parts)}")
        part = self._parts[choice.index]
        part.finish_reason = choice.finish_reason or part.finish_reason
        for token in (choice.logprobs and choice.logprobs.content) or ():
            part.logprob += token.logprob
            part.tokens += 1
        said = choice.delta or choice.message
        text = (said and said.content) or ""
        if text or choice.message:
            part.pieces.append(text)
        if text and self._on_text:
            self._on_text(choice.index, text)

    def _shares(self) -> list[int]:
        """The server counts all choices together: a choice's share goes by its length."""
        lengths = [sum(map(len, part.pieces)) + 1 for part in self._parts]
        total = sum(lengths)
        return [round(self._usage.completion_tokens * length / total) for length in lengths]


def broke_off() -> EngineUnavailable:
    """The stream ended before the answer did."""
    return gone("broke off in the middle of its answer")


def _unavailable(what: str) -> EngineUnavailable:
    return EngineUnavailable(f"the model server {what}", retry_after_s=RETRY_AFTER_S)
