"""Verdicts that are kept, and work under way that others wait for instead of doing it again.

Kept by the database's content, the golds, the prediction, the metrics, the limits and the
verifier's version: whatever a verdict depends on. Not kept is what another run might answer
otherwise: a deadline that was missed, a failure of ours, a statement that asks for the clock or for
chance.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from service.errors import VeriSQLError
from service.sandbox.frames import Frame
from service.sandbox.judging import Judged
from service.text2sql.types import Metric, Robust

_WHOLE: Frame = {"complete": True}
_PASSING = frozenset({"timeout", "infra_error"})
_ANSWER_BYTES = 900  # a small answer with its dictionary entries
_ROW_BYTES = 600  # an example row of a difference: some cells, of which few are long texts
_COUNTEREXAMPLE_ROWS = 12  # three on each side, of cells that may be longer
_EXAMPLES = ("missing_rows", "extra_rows")
_GROUP_BYTES = 1500


class GroupKey(NamedTuple):
    """What the verdicts on a group depend on, beside the prediction."""

    database_sha256: str
    golds: tuple[str, ...]
    metrics: tuple[Metric, ...]
    timeout_s: float
    gold_timeout_s: float
    diff_rows: int
    robust: Robust | None = None
    by_width: bool = False
    """A prediction of a slow group may be called a mismatch by its number of columns, unrun."""
    verifier_version: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """Of the golds by their place, of the predictions by their text."""

    golds: dict[int, Frame] = field(default_factory=dict)
    predictions: dict[str, Frame] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    """Predictions that were not run for this request."""


Work = Callable[[Sequence[str]], Awaitable[Judged]]


@dataclass(slots=True)
class _Group:
    golds: dict[int, Frame] = field(default_factory=dict)
    predictions: dict[str, Frame] = field(default_factory=dict)
    running: dict[str, "asyncio.Future[Answers]"] = field(default_factory=dict)
    bytes: int = 0


class VerdictCache:
    """At most `max_bytes`, approximately; the groups used least recently leave first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._groups: OrderedDict[GroupKey, _Group] = OrderedDict()
        self.bytes = 0
        self.hits = 0

    async def answers(self, key: GroupKey, predictions: Sequence[str], work: Work) -> Answers:
        """Answers to distinct predictions, each run at most once; raises what `work` raises.

        `work` is given those predictions that nobody has judged and nobody is judging. Who waits
        for another caller gets its error too; where that one gives up, one of them does the work.
        No predictions are answered where no gold is usable.
        """
        group = self._group(key)
        known = group.predictions
        found = {sql: known[sql] for sql in predictions if sql in known}
        answers = Answers(dict(group.golds), found, frozenset(found))
        self.hits += len(found)
        while not _complete(answers, predictions):
            missing = [sql for sql in predictions if sql not in found]
            mine = [sql for sql in missing if sql not in group.running]
            if mine or not missing:
                more = await self._run(key, group, mine, work)
            else:
                more = await _joined(group.running[missing[0]])
            answers.golds.update(more.golds)
            found |= {sql: more.predictions[sql] for sql in missing if sql in more.predictions}
        return answers

    def gold_s(self, key: GroupKey) -> float:
        """Seconds that the group's golds took when they were run, 0.0 if nobody ran them."""
        golds = self._groups[key].golds.values() if key in self._groups else ()
        return sum((float(gold["elapsed_ms"]) for gold in golds), 0.0) / 1000

    async def _run(self, key: GroupKey, group: _Group, mine: Sequence[str], work: Work) -> Answers:
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        group.running.update(dict.fromkeys(mine, future))
        try:
            judged = await work(mine)
            answers = Answers(judged.golds, {mine[n]: a for n, a in judged.predictions.items()})
            self._keep(key, group, answers)
            future.set_result(answers)
            return answers
        except VeriSQLError as error:
            future.set_exception(error)
            future.exception()  # looked at, also where nobody waits
            raise
        finally:
            for sql in mine:
                del group.running[sql]
            future.cancel()  # only where it has no result: then those who wait try themselves

    def _group(self, key: GroupKey) -> _Group:
        group = self._groups.get(key)
        if group is not None:
            self._groups.move_to_end(key)
            return group
        group = self._groups[key] = _Group()
        self._grow(group, _GROUP_BYTES + sum(map(len, key.golds)))
        return group

    def _keep(self, key: GroupKey, group: _Group, answers: Answers) -> None:
        # A gold that might do next time could match what no other gold matches now.
        if any(gold["status"] in _PASSING for gold in answers.golds.values()):
            return
        for n, gold in answers.golds.items():  # the first one knows how long it takes
            group.golds.setdefault(n, gold | {"cached": True})
        kept = {sql: a for sql, a in answers.predictions.items() if _lasting(a)}
        group.predictions.update(kept)
        if self._groups.get(key) is group:  # else it has left meanwhile
            self._grow(group, sum(map(_size, kept, kept.values())))

    def _grow(self, group: _Group, more_bytes: int) -> None:
        group.bytes += more_bytes
        self.bytes += more_bytes
        while self.bytes > self._max_bytes and self._groups:
            self.bytes -= self._groups.popitem(last=False)[1].bytes


def _complete(answers: Answers, predictions: Sequence[str]) -> bool:
    """True when nothing is to be run: all is answered, or no gold is usable."""
    if not answers.golds:
        return False
    if all(gold["status"] != "ok" for gold in answers.golds.values()):
        return True
    return len(answers.predictions) == len(predictions)


async def _joined(running: "asyncio.Future[Answers]") -> Answers:
    """What the other caller found; nothing if it gave up."""
    await asyncio.wait((running,))
    if running.cancelled():
        return Answers()
    return running.result()


def _lasting(answer: Frame) -> bool:
    if answer["status"] in _PASSING or answer.get("volatile"):
        return False
    return bool(answer.get("robust", _WHOLE)["complete"])


def _size(sql: str, answer: Frame) -> int:
    diff = answer.get("diff")
    rows = sum(len(diff.get(name, ())) for name in _EXAMPLES) if diff else 0
    if (answer.get("robust") or {}).get("counterexample"):
        rows += _COUNTEREXAMPLE_ROWS
    return _ANSWER_BYTES + len(sql) + _ROW_BYTES * rows
