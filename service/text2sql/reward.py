"""From a verdict's status to a reward, by published name."""

from collections.abc import Callable

from service.text2sql.types import MASKED, Status

Components = dict[str, float]


def execution(status: Status) -> Components:
    """1 for a match, 0 for anything else; range {0, 1}.

    The reward of Databricks' RLVR on BIRD (arXiv 2509.21459, section 3): nothing is paid for SQL
    that merely runs, since that is the first thing a policy learns to exploit.
    """
    return {"execution": float(status == "match")}


PRESETS: dict[str, Callable[[Status], Components]] = {"execution": execution}


def score(status: Status, preset: str) -> tuple[float | None, Components]:
    """The reward and its named parts; (None, {}) where the prediction cannot be judged."""
    if status in MASKED:
        return None, {}
    components = PRESETS[preset](status)
    return sum(components.values()), components
