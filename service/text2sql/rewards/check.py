"""Refuse a reward that does not exist, with the name that was probably meant."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from service.errors import InvalidRequest
from service.text2sql.rewards.published import PRESETS
from service.text2sql.rewards.weights import COMPONENTS
from service.text2sql.types import METRICS

_MAX_WEIGHT = 1000
_SHOWN = 60


def check_reward(spec: object, metrics: Sequence[str]) -> None:
    """Raises InvalidRequest (param `reward`) unless `spec` is a reward for these metrics.

    A preset's name, or a mapping that is not empty from names of components or of the request's own
    metrics to weights: numbers, finite, of at most 1000 either way.
    """
    if isinstance(spec, str):
        _known(spec, PRESETS, "reward")
    elif isinstance(spec, dict) and spec:
        for name, weight in spec.items():
            _check_name(name, metrics)
            _check_weight(name, weight)
    else:
        raise _invalid(
            "reward must be a name or an object with a weight for at least one component; "
            f"names: {', '.join(PRESETS)}"
        )


def _check_name(name: object, metrics: Sequence[str]) -> None:
    text = str(name)
    if text in METRICS and text not in metrics:
        raise _invalid(
            f"reward weights {text!r}, which is not among the request's metrics: "
            f"{', '.join(metrics)}"
        )
    _known(text, [*COMPONENTS, *metrics], "reward component")


def _check_weight(name: str, weight: object) -> None:
    # A bool is an int to Python, but no weight. NaN is within no bounds.
    if isinstance(weight, (int, float)) and not isinstance(weight, bool):
        if -_MAX_WEIGHT <= weight <= _MAX_WEIGHT:
            return
        # Thousands of digits cannot be printed.
        given = f"{weight:g}" if isinstance(weight, float) else "out of bounds"
    else:
        given = str(weight)[:_SHOWN]
    raise _invalid(
        f"the weight of {name!r} must be a number from -{_MAX_WEIGHT} to {_MAX_WEIGHT}, is {given}"
    )


def _known(name: str, known: Iterable[str], kind: str) -> None:
    names = list(known)
    if name in names:
        return
    near = get_close_matches(name[:_SHOWN], names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    raise _invalid(f"unknown {kind} {name[:_SHOWN]!r}; {hint}")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="reward")
