"""Time gold and prediction side by side, for the ratio that bird_r_ves rewards.

BIRD's evaluator (bird-bench/mini_dev evaluation/evaluation_ves.py) times with time.time(), which
may step; always runs the prediction first, so that the gold finds the warmer cache; runs other
pairs on the other cores meanwhile; opens a new connection for each run. Here the clock is monotonic
and has nanoseconds, and who goes first changes with every pair. What is left is noise of the
machine: other queries that run at the same time, and caches.
"""

import time
from collections.abc import Callable


def time_ratios(
    run_gold: Callable[[], object],
    run_prediction: Callable[[], object],
    iterations: int,
    stop_at: float,
) -> list[float]:
    """Gold time / prediction time of each pair of runs.

    There are `iterations` of them, fewer if the monotonic clock passes `stop_at` (seconds), at
    least one. Raises what the two raise.
    """
    ratios: list[float] = []
    while not ratios or (len(ratios) < iterations and time.monotonic() < stop_at):
        if len(ratios) % 2:
            gold, prediction = _duration(run_gold), _duration(run_prediction)
        else:
            prediction, gold = _duration(run_prediction), _duration(run_gold)
        ratios.append(gold / prediction)
    return ratios


def _duration(run: Callable[[], object]) -> int:
    """Nanoseconds, at least 1."""
    start = time.perf_counter_ns()
    run()
    return max(1, time.perf_counter_ns() - start)
