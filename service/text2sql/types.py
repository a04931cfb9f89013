"""The values that the verifier takes in and gives out; names as in docs/api.md."""

from dataclasses import dataclass, field
from typing import Literal, get_args

Status = Literal[
    "match",
    "mismatch",
    "no_sql",
    "syntax_error",
    "exec_error",
    "forbidden",
    "timeout",
    "too_large",
    "gold_error",
    "gold_timeout",
    "infra_error",
]
MASKED: frozenset[Status] = frozenset({"gold_error", "gold_timeout", "infra_error"})
"""Statuses that say nothing about the prediction: reward is None, the sample is left out."""

Metric = Literal[
    "bird_ex",
    "bird_soft_f1",
    "bird_r_ves",
    "spider_exec",
    "spider_exec_keep_distinct",
    "spider2_lite",
    "strict",
]
METRICS: tuple[Metric, ...] = get_args(Metric)

Flag = Literal[
    "empty_equals_empty",
    "constant_only",
    "nondeterministic",
    "gold_nondeterministic",
    "duplicates_ignored",
    "order_ignored",
    "type_coerced",
    "coincidence",
    "ties_unchecked",
]
"""What deserves a look although it may be a match; docs/verification.md says when each is set."""
FLAGS: tuple[Flag, ...] = get_args(Flag)

Extract = Literal["none", "auto", "sql_fence", "answer_tag", "solution_tag"]
EXTRACTS: tuple[Extract, ...] = get_args(Extract)


@dataclass(frozen=True, slots=True)
class Robust:
    """How many altered copies of the database a match must hold on, and the seed that made them."""

    instances: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class VerifyTask:
    """One question's gold and the predictions of its group."""

    db_id: str
    gold_sql: tuple[str, ...]
    predictions: tuple[str, ...]
    extract: Extract = "none"
    metrics: tuple[Metric, ...] = ("bird_ex",)
    reward: str | dict[str, float] = "execution"
    """A preset's name, or a weight for each component (rewards/)."""
    timeout_s: float | None = None
    robust: Robust | None = None
    diff_rows: int = 3
    """Example rows in a diff, missing and extra each; 0 leaves the diff out."""
    reject_flags: frozenset[Flag] | None = None
    """Flags that turn a match into reward 0; None takes the verifier's own policy."""


@dataclass(frozen=True, slots=True)
class GoldReport:
    """What became of the gold: the first usable one, or the first failure if none is usable."""

    status: Literal["ok", "gold_error", "gold_timeout", "infra_error"]
    rows: int | None
    columns: int | None
    elapsed_ms: float
    cached: bool
    message: str | None = None


@dataclass(slots=True)  # not frozen: that would double the time to make one, and many are made
class Verdict:
    """What one prediction earned and why. `reward` is None exactly when `masked`."""

    status: Status
    reward: float | None
    masked: bool
    retryable: bool
    metrics: dict[str, float]
    components: dict[str, float]
    flags: list[Flag]
    sql: str | None
    rows: int | None
    elapsed_ms: float
    cached: bool
    message: str | None
    diff: dict[str, object] | None = None
    timing: dict[str, float] | None = None
    """For `bird_r_ves`: the measured ratio, its spread and the number of runs."""
    robust: dict[str, object] | None = None
    """For `robust`: copies on which the gold was usable, and on which the match held."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The answer to one VerifyTask: a verdict for each prediction, in order."""

    db_id: str
    database_sha256: str
    verifier_version: str
    gold: GoldReport
    verdicts: list[Verdict] = field(default_factory=list)
