"""One candidate on its way: the model's text, its SQL, what the SQL engine made of it."""

from dataclasses import dataclass, replace
from typing import Any

from service.engine.base import Completion
from service.generation.task import Candidate
from service.text2sql.completion import extract_sql

_SHOWN_ANSWER = 200  # characters of an answer without SQL that are repeated to the caller


@dataclass(frozen=True, slots=True)
class Checked:
    """What the SQL engine made of a query; `rows` and `digest` only if it was run."""

    error: str | None = None
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    digest: str | None = None
    names: tuple[str, ...] = ()
    rows: tuple[list[Any], ...] | None = None
    truncated: bool = False
    elapsed_ms: float = 0.0
    unseen: bool = False
    """No SQL worker was free in time, or the sandbox failed: nothing is known of the query."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate; `checked` is None until the SQL engine has seen it."""

    completion: Completion
    sql: str | None
    checked: Checked | None = None
    repaired: int = 0

    @property
    def error(self) -> str | None:
        """Why it is no valid answer; None if it is one."""
        if self.sql is None:
            return f"no SQL in the model's answer: {self.completion.text[:_SHOWN_ANSWER]!r}"
        if self.cut:
            return f"the answer was cut at max_tokens={self.completion.completion_tokens}"
        return self.checked.error if self.checked else None

    @property
    def cut(self) -> bool:
        """The model's limit of tokens ended the query itself, which may still compile."""
        if self.sql is None or self.completion.finish_reason != "length":
            return False
        return self.completion.text.rstrip("` \n").endswith(self.sql.rstrip("; \n"))

    @property
    def mendable(self) -> bool:
        """It failed, and that is its own fault."""
        return self.error is not None and not (self.checked and self.checked.unseen)

    def candidate(self, votes: int) -> Candidate:
        """As the caller sees it."""
        completion = self.completion
        return Candidate(
            sql=self.sql,
            valid=self.error is None,
            error=self.error,
            votes=votes,
            mean_logprob=completion.mean_logprob,
            repaired=self.repaired,
            finish_reason=completion.finish_reason,
        )


def draft(completion: Completion, repaired: int = 0) -> Draft:
    """The SQL in what the model wrote."""
    return Draft(completion, extract_sql(completion.text, "auto"), None, repaired)


def with_checks(drafts: list[Draft], checks: dict[str, Checked]) -> list[Draft]:
    """The drafts with what was found of their SQL."""
    return [replace(d, checked=checks[d.sql]) if d.sql in checks else d for d in drafts]
