"""Curves in a terminal."""

from service.pages.braille import curve


def test_a_curve_goes_from_its_least_value_below_to_its_largest_above() -> None:
    assert curve([0, 1, 2, 3], 2, 1) == ["⡠⠊"]
    rising = curve([float(n) for n in range(1000)], 10, 3)
    assert [len(line) for line in rising] == [10, 10, 10]
    assert (rising[2][0], rising[0][-1]) != ("⠀", "⠀")
    assert (rising[0][0], rising[2][-1]) == ("⠀", "⠀")


def test_a_jump_is_a_line_and_equal_values_lie_in_the_middle() -> None:
    assert curve([0, 9], 1, 2) == ["⢸", "⡸"]
    assert curve([5, 5, 5, 5], 2, 1) == ["⠒⠒"]


def test_few_values_begin_at_the_left_and_none_draw_nothing() -> None:
    assert curve([], 3, 2) == ["⠀⠀⠀", "⠀⠀⠀"]
    assert curve([7.0], 3, 1)[0][1:] == "⠀⠀"
