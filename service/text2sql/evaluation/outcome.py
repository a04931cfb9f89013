"""One question's answer and what the verifier said about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from service.text2sql.questions import Question
from service.text2sql.types import Metric, is_right

NO_ANSWER = frozenset({"no_sql", "clarify", "cannot_answer"})
"""Statuses of an answer without SQL."""


def answered_right(status: str, metric: str, value: float) -> bool:
    """No SQL is never right, though it equals a gold that finds no rows; any time ratio is."""
    return status not in NO_ANSWER and is_right(cast(Metric, metric), value)


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the n answers that were generated for a question."""

    sql: str | None
    status: str
    """Of its verdict."""
    metrics: Mapping[str, float]
    valid: bool | None = None
    """Whether the SQL engine took it; None where nobody asked."""
    error: str | None = None
    votes: int = 0
    """Samples, itself included, whose result is the same; 0 for one that cannot vote."""
    mean_logprob: float | None = None
    repaired: int = 0
    """How often it went back to the model."""

    def right(self, metric: str) -> bool:
        """By that metric."""
        return answered_right(self.status, metric, self.metrics.get(metric, 0.0))


@dataclass(frozen=True, slots=True)
class Provenance:
    """What an answer was made and judged with; empty texts where it was not told."""

    model: Mapping[str, str | None] = field(default_factory=dict)
    """`name`, `revision`, `adapter`."""
    template: str = ""
    prompt_sha256: str = ""
    database_sha256: str = ""
    verifier_version: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question, the answer that was chosen for it, and all samples behind that choice."""

    place: int
    """The question's index in its file, from 0."""
    question: Question
    sql: str | None
    status: str
    """The verdict's; `clarify` or `cannot_answer` for such an answer; the code of an error."""
    metrics: Mapping[str, float]
    masked: bool = False
    """The gold's fault or ours: left out of every share."""
    retryable: bool = False
    """Masked for a reason that may pass."""
    message: str | None = None
    samples: tuple[Sample, ...] = ()
    voted: bool = False
    """The samples voted by execution; `votes` then count."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: float = 0.0
    provenance: Provenance = field(default_factory=Provenance)
    trace: Mapping[str, Any] = field(default_factory=dict)
    """Prompt messages, completions, repairs and the like, as they came."""

    def right(self, metric: str) -> bool:
        """By that metric; False where it is masked, which callers leave out before."""
        value = self.metrics.get(metric, 0.0)
        return not self.masked and answered_right(self.status, metric, value)

    def value(self, metric: str) -> float:
        """The metric's own number, 0 for an answer without SQL."""
        return 0.0 if self.status in NO_ANSWER else self.metrics.get(metric, 0.0)
