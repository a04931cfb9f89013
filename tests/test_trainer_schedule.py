"""The order in which questions are asked."""

import json

import pytest

from trainer.schedule import Stream, schedule


def test_the_schedule_follows_from_the_seed_alone() -> None:
    assert schedule(10, 2, 12, seed=7) == schedule(10, 2, 12, seed=7)
    assert schedule(10, 2, 12, seed=7) != schedule(10, 2, 12, seed=8)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    assert schedule(10, 2, 30, seed=1)[:24] == schedule(10, 2, 12, seed=1)


def test_every_pass_meets_every_row_once_in_another_order() -> None:
    order = schedule(7, 3, 7, seed=0)
    passes = [order[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert passes[0] != passes[1]


def test_fewer_rows_than_a_step_asks_for_are_asked_again() -> None:
    assert schedule(1, 4, 2, seed=0) == [0] * 8


def test_a_stream_hands_out_the_schedule_in_any_portions() -> None:
    stream = Stream(7, seed=3)
    asked = [row for count in (1, 0, 5, 9, 6) for row in stream.next(count)]
    assert asked == schedule(7, 3, 7, seed=3)


@pytest.mark.parametrize("taken", [0, 1, 7, 18])
def test_a_stream_goes_on_exactly_from_its_cursor(taken: int) -> None:
    whole = Stream(7, seed=3)
    whole.next(taken)
    resumed = Stream(7, seed=3, cursor=json.loads(json.dumps(whole.cursor)))
    assert resumed.next(20) == whole.next(20)
    assert resumed.cursor == whole.cursor == taken + 20


@pytest.mark.parametrize(("rows", "cursor"), [(0, 0), (3, -1)])
def test_a_stream_of_nothing_is_refused(rows: int, cursor: int) -> None:
    with pytest.raises(ValueError, match=f"has {rows} and {cursor}"):
        Stream(rows, 0, cursor)
