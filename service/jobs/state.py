"""Job states and the transitions between them; `python -m service.jobs.state` prints the table.

A job is created `queued`: everything that can be checked is checked before its row exists.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from service.errors import InvalidTransition

JobState = Literal["queued", "starting", "running", "succeeded", "failed", "cancelled"]

TRANSITIONS: Mapping[JobState, tuple[JobState, ...]] = MappingProxyType(
    {
        # A queued job's turn has come, or it was cancelled while it waited.
        "queued": ("starting", "cancelled"),
        # The model is fetched, the process started. A short run may end between two looks.
        "starting": ("running", "succeeded", "failed", "cancelled"),
        # The trainer has said that it trains.
        "running": ("succeeded", "failed", "cancelled"),
        # Terminal: nothing follows.
        "succeeded": (),
        "failed": (),
        "cancelled": (),
    }
)

STATES: tuple[JobState, ...] = tuple(TRANSITIONS)
TERMINAL: frozenset[JobState] = frozenset(
    s for s, following in TRANSITIONS.items() if not following
)
ACTIVE: frozenset[JobState] = frozenset({"starting", "running"})
"""States that use the machine and count against VERISQL_MAX_RUNNING_JOBS."""


def check_transition(old: JobState, new: JobState) -> None:
    """Raise InvalidTransition unless the table allows `old` -> `new`."""
    if new not in TRANSITIONS[old]:
        allowed = ", ".join(TRANSITIONS[old]) or "nothing, it is terminal"
        raise InvalidTransition(f"a {old} job cannot become {new}; it can become: {allowed}")


def table() -> str:
    """The transitions as text, one state a line."""
    rows = ((state, " ".join(following) or "-") for state, following in TRANSITIONS.items())
    return "\n".join(f"{state:<10} -> {following}" for state, following in rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
