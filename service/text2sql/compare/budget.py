"""A bound on the work of one comparison, in steps, so that it ends alike on every machine."""


class ComparisonTooHard(Exception):
    """The two results could not be compared within the budget; for the caller: `too_large`."""


class Budget:
    """Steps that may still be taken; one step looks at one cell, about 0.1 µs."""

    __slots__ = ("_left",)

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Raises ComparisonTooHard when none are left."""
        self._left -= steps
        if self._left < 0:
            raise ComparisonTooHard("the results are too much alike to be told apart in time")
