"""The table of states."""

import pytest

from service.errors import InvalidTransition
from service.jobs.state import STATES, TERMINAL, TRANSITIONS, check_transition, table


def test_terminal_states_are_those_that_nothing_follows() -> None:
    assert {"succeeded", "failed", "cancelled"} == TERMINAL


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_only_the_table_says_what_may_follow(old: str, new: str) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(InvalidTransition, match=f"a {old} job cannot become {new}"):
            check_transition(old, new)


def test_every_state_is_reached_and_ends_somewhere() -> None:
    reached = {new for following in TRANSITIONS.values() for new in following}
    assert reached == set(STATES) - {"queued"}
    assert all(following or state in TERMINAL for state, following in TRANSITIONS.items())


def test_the_table_prints_a_line_for_each_state() -> None:
    lines = table().splitlines()
    assert lines[0].split() == ["queued", "->", "starting", "cancelled"]
    assert len(lines) == len(STATES)
