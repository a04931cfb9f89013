"""Job states and the transitions between them; `python -m service.jobs.state` prints the table."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from service.errors import InvalidTransition

JobState = Literal[
    "validating", "queued", "starting", "running", "paused", "succeeded", "failed", "cancelled"
]

TRANSITIONS: Mapping[JobState, tuple[JobState, ...]] = MappingProxyType(
    {
        # The model is fetched, data and leaks are looked at. No machine is used yet.
        "validating": ("queued", "failed", "cancelled"),
        # It waits for its turn.
        "queued": ("starting", "paused", "cancelled"),
        # It is launched. A short run may end between two looks; `queued` is a retry.
        "starting": ("running", "queued", "paused", "succeeded", "failed", "cancelled"),
        # The trainer has said that it trains. `queued` is a retry after its machine was lost.
        "running": ("queued", "paused", "succeeded", "failed", "cancelled"),
        # It uses no machine and keeps its checkpoints until a caller resumes it.
        "paused": ("queued", "cancelled"),
        # A caller may resume it from its last checkpoint.
        "failed": ("queued",),
        # Nothing follows.
        "succeeded": (),
        "cancelled": (),
    }
)

STATES: tuple[JobState, ...] = tuple(TRANSITIONS)
TERMINAL: frozenset[JobState] = frozenset({"succeeded", "failed", "cancelled"})
"""Nothing happens any more unless a caller asks for it."""
ACTIVE: frozenset[JobState] = frozenset({"starting", "running"})
"""States that use a machine and count against VERISQL_MAX_RUNNING_JOBS."""
RESUMABLE: frozenset[JobState] = frozenset({"paused", "failed"})


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
