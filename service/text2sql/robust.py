"""A match must hold on altered copies of the database too, else it is a coincidence."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.holding import Holding, hold
from service.text2sql.compare.metrics import METRICS
from service.text2sql.types import Metric, Robust, is_right

_BUDGET_S = 30.0
_STATEMENT_S = 1.0  # copies are small


async def mark_coincidences(
    executor: Executor,
    database: Path,
    copies: Sequence[Path],
    golds: Sequence[str],
    answers: dict[str, Frame],
    metric: Metric,
    robust: Robust,
) -> None:
    """Run the matches among `answers` (by prediction) on the copies, and write down what was found.

    A match that a copy disproves becomes a mismatch with the flag `coincidence`. Raises what `hold`
    raises.
    """
    matched = [sql for sql, answer in answers.items() if _matched(answer, metric)]
    if not matched:
        return
    holding = Holding(
        copies=copies,
        golds=list(_prepared(golds, metric)),
        predictions=list(_prepared(matched, metric)),
        metric=metric,
        seed=robust.seed,
        timeout_s=_STATEMENT_S,
        budget_s=_BUDGET_S,
    )
    for sql, found in zip(matched, await hold(executor, database, holding), strict=True):
        answers[sql]["robust"] = found
        if counterexample := found["counterexample"]:
            _disprove(answers[sql], counterexample)


def _disprove(answer: Frame, counterexample: Frame) -> None:
    answer["status"] = "mismatch"
    answer["flags"] = [*answer.get("flags", []), "coincidence"]
    answer["message"] = (
        f"matches this database by coincidence: differs on altered copy "
        f"{counterexample['instance']} ({counterexample['kind']})"
    )


def _matched(answer: Frame, metric: Metric) -> bool:
    return answer["status"] == "ok" and is_right(metric, answer["metrics"][metric])


def _prepared(texts: Iterable[str], metric: Metric) -> Iterable[str]:
    prepare = METRICS[metric].prepare
    return (prepare(text) or "" for text in texts)
