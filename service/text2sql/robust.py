"""A match must hold on altered copies of the database too, else it is a coincidence."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.holding import Holding, hold
from service.text2sql.compare.metrics import METRICS
from service.text2sql.copies import Copies
from service.text2sql.databases import Database
from service.text2sql.types import Metric, Robust, is_right
from service.text2sql.verdict_cache import GroupKey

_BUDGET_S = 30.0
_STATEMENT_S = 1.0  # copies are small
_INCOMPLETE = "a match, not tried on all altered copies: the time or the memory for it was over"


async def mark_coincidences(
    executor: Executor,
    copies: Copies,
    database: Database,
    key: GroupKey,
    golds: Sequence[str],
    answers: dict[str, Frame],
    end: float,
) -> None:
    """Run the matches among `answers` (by prediction) on the copies, and write down what was found.

    A match that a copy disproves becomes a mismatch with the flag `coincidence`. What cannot be
    done until `end`, by the monotonic clock, is `complete: False`: that includes building the
    copies, which goes on in the background. Raises what `Copies.get` and `hold` raise.
    """
    metric = key.metrics[0]
    matched = [sql for sql, answer in answers.items() if _matched(answer, metric)]
    if not matched or key.robust is None:
        return
    paths = await _built(copies, database, key.database_sha256, key.robust, end)
    holding = Holding(
        copies=paths,
        golds=list(_prepared(golds, metric)),
        predictions=list(_prepared(matched, metric)),
        metric=metric,
        seed=key.robust.seed,
        timeout_s=_STATEMENT_S,
        budget_s=min(_BUDGET_S, end - time.monotonic()) if paths else 0.0,
    )
    found = await hold(executor, database.path, holding)
    for sql, each in zip(matched, found, strict=True):
        answers[sql]["robust"] = each | {"instances": key.robust.instances}
        if counterexample := each["counterexample"]:
            _disprove(answers[sql], counterexample)
        elif not each["complete"]:
            answers[sql]["message"] = _INCOMPLETE


async def _built(
    copies: Copies, database: Database, sha256: str, robust: Robust, end: float
) -> list[Path]:
    """The copies; none where they are not there in time."""
    try:
        async with asyncio.timeout(end - time.monotonic()):
            return await copies.get(database, sha256, robust)
    except TimeoutError:
        return []


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
