"""From an outcome to a reward and its named parts."""

from collections.abc import Mapping
from dataclasses import replace

from service.text2sql.rewards.outcome import Components, Outcome
from service.text2sql.rewards.published import PRESETS
from service.text2sql.rewards.weights import weighted
from service.text2sql.types import MASKED


def score(
    outcome: Outcome, spec: str | Mapping[str, float], *, rejected: bool = False
) -> tuple[float | None, Components]:
    """(reward, components), the reward being their sum to the last bit.

    `spec` is a preset's name or weights, as check_reward lets through. (None, {}) for a masked
    status: nothing is known about the prediction. `rejected` says that a flag policy does not trust
    a match: it earns what a mismatch earns, and its metrics earn nothing.
    """
    if outcome.status in MASKED:
        return None, {}
    if rejected and outcome.status == "match":
        outcome = replace(outcome, status="mismatch", metrics=dict.fromkeys(outcome.metrics, 0.0))
    parts = PRESETS[spec](outcome) if isinstance(spec, str) else weighted(outcome, spec)
    return float(sum(parts.values())), parts
