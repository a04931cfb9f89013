"""What is asked of the generator, and what it answers; names as in docs/api.md."""

from dataclasses import dataclass, field
from typing import Any, Literal

from service.engine.base import EngineModel
from service.text2sql.budget import LeftOut
from service.text2sql.prompt import Turn
from service.text2sql.values.match import ValueMatch

AnswerStatus = Literal["ok", "no_sql", "cannot_answer", "clarify"]


@dataclass(frozen=True, slots=True)
class GenerateTask:
    """One question on one database."""

    question: str
    db_id: str
    evidence: str = ""
    dialect: str = "sqlite"
    n: int = 1
    temperature: float | None = None
    """0..2, 0 is greedy; None is 0 for one candidate and 0.8 for several."""
    seed: int | None = None
    max_tokens: int = 512
    model: str | None = None
    """A served model or adapter; None is the live one."""
    execute: bool = False
    max_rows: int = 100
    vote: bool = True
    """Among several candidates, choose by the results that most of them agree on."""
    repair: int = 0
    """How often a candidate that fails goes back to the model with the error."""
    history: tuple[Turn, ...] = ()
    template: str | None = None
    values: bool | None = None
    """Look the question's words up among the database's values; None is the server's setting."""
    clarify: bool = True
    """May answer with a question, or that the database does not hold the answer."""
    verified: bool = True
    """May answer with the verified query of the same question."""
    remember: bool = True
    """Keep the answer for feedback."""
    debug: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer of the model; `valid` if the SQL engine compiles it (and ran it, if it had to)."""

    sql: str | None
    valid: bool
    error: str | None
    votes: int
    """Candidates with the same result, this one included; 0 if it has none."""
    mean_logprob: float | None = None
    repaired: int = 0
    """How often it went back to the model."""
    finish_reason: str = "stop"
    """Why the model ended: `stop`, or `length` when max_tokens cut it."""


@dataclass(frozen=True, slots=True)
class ResultRows:
    """The rows of the chosen query; `row_count` counts those here, more exist if `truncated`."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    row_count: int
    truncated: bool
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Repair:
    """A query that failed and went back to the model; `candidate` counts from 0."""

    candidate: int
    sql: str | None
    error: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the model read and wrote, repairs included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    """Of the prompt, found in the model server's prefix cache; None where it does not tell."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One repair, word for word."""

    messages: list[dict[str, str]]
    completion: str


@dataclass(frozen=True, slots=True)
class Debug:
    """What went to the model and came back, word for word."""

    messages: list[dict[str, str]]
    completions: list[str]
    """Of the prompt, one for each candidate."""
    repairs: list[Exchange]


@dataclass(frozen=True, slots=True)
class GenerateAnswer:
    """The answer to one GenerateTask."""

    status: AnswerStatus
    sql: str | None
    dialect: str
    sqlite_sql: str | None
    """What ran, or would: the same as `sql` unless another dialect was asked for."""
    candidates: list[Candidate]
    confidence: float | None
    confidence_basis: str | None
    verified: bool
    """People have confirmed this query for this question."""
    verified_query_id: str | None
    tables: list[str]
    columns: list[str]
    explanation: str | None
    result: ResultRows | None
    chart: dict[str, Any] | None
    clarification: str | None
    repairs: list[Repair]
    warnings: list[str]
    model: EngineModel
    database_sha256: str
    template: str
    left_out: LeftOut
    values: list[ValueMatch]
    prompt_sha256: str
    """Empty where the model was not asked."""
    usage: Usage
    latency_ms: float
    debug: Debug | None = field(default=None)
