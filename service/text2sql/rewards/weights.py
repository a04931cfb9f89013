"""Weights of one's own: components that any request can weight, beside its own metrics."""

from collections.abc import Callable, Mapping

from service.text2sql.completion.chat import own_turn
from service.text2sql.completion.thinking import split_thinking
from service.text2sql.rewards.outcome import Components, Outcome
from service.text2sql.rewards.published import keeps_own_format


def _thinks(outcome: Outcome) -> bool:
    parts = split_thinking(own_turn(outcome.completion))
    first = parts.answers[0] if len(parts.answers) > 1 else ""
    return len(parts.thoughts) == 1 and not parts.cut_off and not first.strip()


COMPONENTS: dict[str, Callable[[Outcome], bool]] = {
    "match": lambda outcome: outcome.status == "match",
    "executable": lambda outcome: outcome.ran,
    "has_sql": lambda outcome: outcome.status != "no_sql",
    "format": keeps_own_format,
    "thinking": _thinks,
    "error": lambda outcome: not outcome.ran and outcome.status != "no_sql",
    "no_sql": lambda outcome: outcome.status == "no_sql",
    "syntax_error": lambda outcome: outcome.status == "syntax_error",
    "exec_error": lambda outcome: outcome.status == "exec_error",
    "forbidden": lambda outcome: outcome.status == "forbidden",
    "timeout": lambda outcome: outcome.status == "timeout",
    "too_large": lambda outcome: outcome.status == "too_large",
}
"""Each is 1 where it holds, else 0:

match         equal to the gold by the first metric
executable    it ran: match or mismatch
has_sql       there was a statement to run
format        the completion keeps the format of its extract mode to the letter
              (completion/strict.py); with `none`, that there is SQL
thinking      exactly one block of thought, closed, before all else
error         there was a statement and it did not run: any of the last five
no_sql, syntax_error, exec_error, forbidden, timeout, too_large    the status of that name
"""


def weighted(outcome: Outcome, weights: Mapping[str, float]) -> Components:
    """Weight times value for each component named; a metric's value counts only where SQL ran.

    An empty prediction "equals" an empty gold in some metrics, and earns nothing for it.
    """
    # Adding 0.0 turns the -0.0 of a negative weight into 0.0.
    return {name: float(w) * _value(outcome, name) + 0.0 for name, w in weights.items()}


def _value(outcome: Outcome, name: str) -> float:
    if name in COMPONENTS:
        return float(COMPONENTS[name](outcome))
    return outcome.metrics[name] if outcome.ran else 0.0
