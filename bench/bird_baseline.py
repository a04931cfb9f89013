"""What BIRD's own evaluator does, for comparison: written anew after its published behaviour.

Facts from bird-bench/mini_dev, evaluation/evaluation_ex.py and evaluation_utils.py (the row "BIRD
EX official" of our notes on evaluators): for each pair open the database, run the prediction, then
the gold, on one connection, fetch all rows of both, 1 if set(prediction) == set(gold); 30 s for
both together; any exception is 0. A `multiprocessing` pool runs the pairs one by one.

What differs from the original. Its time limit comes from the package `func_timeout`: a thread for
each call, joined with a timeout. Here it is the same with `threading`, but a thread that is late is
left to itself instead of having an exception thrown into it, which cannot stop SQLite either; it
ends with its pool. Connections are closed at the end, as mini_dev does. And golds and predictions
are handed over in memory, so that no time goes into reading files.

The databases are opened for writing, as the original does: give it copies.
"""

import multiprocessing
import resource
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

Pair = tuple[str, str, str]
"""(path of the database, gold SQL, predicted SQL)"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Verdicts 0 or 1 in the order of the pairs; seconds on the wall and of CPU, children's too."""

    verdicts: list[int]
    wall_s: float
    cpu_s: float


def evaluate(pairs: Sequence[Pair], workers: int = 2, timeout_s: float = 30.0) -> Evaluation:
    """BIRD's execution accuracy of each pair."""
    verdicts = [0] * len(pairs)

    def note(result: tuple[int, int]) -> None:
        verdicts[result[0]] = result[1]

    wall, cpu = time.perf_counter(), cpu_s()
    pool = multiprocessing.get_context("fork").Pool(workers)
    for number, pair in enumerate(pairs):
        pool.apply_async(_judge, (number, pair, timeout_s), callback=note)
    pool.close()
    pool.join()
    return Evaluation(verdicts, time.perf_counter() - wall, cpu_s() - cpu)


def _judge(number: int, pair: Pair, timeout_s: float) -> tuple[int, int]:
    result: list[int] = []

    def run() -> None:
        # BIRD's evaluator too scores every exception 0, whatever it is.
        try:
            result.append(_execution_accuracy(*pair))
        except Exception:  # noqa: BLE001
            result.append(0)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return number, result[0] if result else 0


def _execution_accuracy(path: str, gold: str, prediction: str) -> int:
    connection = sqlite3.connect(path)
    cursor = connection.cursor()
    cursor.execute(prediction)
    predicted_rows = cursor.fetchall()
    cursor.execute(gold)
    gold_rows = cursor.fetchall()
    connection.close()
    return int(set(predicted_rows) == set(gold_rows))


def cpu_s() -> float:
    """CPU seconds so far of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)
