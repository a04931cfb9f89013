"""The table of states."""

import pytest

from service.errors import InvalidTransition
from service.jobs.state import (
    ACTIVE,
    RESUMABLE,
    STATES,
    TERMINAL,
    TRANSITIONS,
    check_transition,
    table,
)


def test_nothing_follows_success_and_cancellation_and_only_a_caller_revives_failure() -> None:
    assert [s for s in STATES if not TRANSITIONS[s]] == ["succeeded", "cancelled"]
    assert TRANSITIONS["failed"] == ("queued",)
    assert {"succeeded", "failed", "cancelled"} == TERMINAL
    assert {"paused", "failed"} == RESUMABLE


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_only_the_table_says_what_may_follow(old: str, new: str) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(InvalidTransition, match=f"a {old} job cannot become {new}"):
            check_transition(old, new)


def test_every_state_is_reached_and_can_end() -> None:
    reached = {new for following in TRANSITIONS.values() for new in following}
    assert reached == set(STATES) - {"validating"}
    assert all("cancelled" in TRANSITIONS[state] for state in set(STATES) - TERMINAL)


def test_only_active_states_can_succeed() -> None:
    assert {s for s in STATES if "succeeded" in TRANSITIONS[s]} == ACTIVE


def test_the_table_prints_a_line_for_each_state() -> None:
    lines = table().splitlines()
    assert lines[1].split() == ["queued", "->", "starting", "paused", "cancelled"]
    assert len(lines) == len(STATES)
