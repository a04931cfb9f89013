"""The one verifier: /verify, training, evaluation and /generate all call this function."""

import time
from collections.abc import Sequence

from service import __version__
from service.errors import UnsupportedValue
from service.sandbox.executor import Executor
from service.sandbox.judging import Group, Judged, judge
from service.text2sql.completion import extract_sql
from service.text2sql.copies import Copies
from service.text2sql.databases import Database, DatabaseRegistry
from service.text2sql.policy import Policy
from service.text2sql.robust import mark_coincidences
from service.text2sql.types import Extract, VerifyReport, VerifyTask
from service.text2sql.verdict import gold_report, verdict_of
from service.text2sql.verdict_cache import GroupKey, VerdictCache

VERSION = "2"
"""Of what verdicts mean. Raise it with whatever makes a verdict another one: a metric, a reward, a
flag, how SQL is taken out of a completion, altered copies. tests/test_verifier_version.py holds it
against recorded verdicts. 1 was everything before it had a number."""
_ERRORS_EARN_AS_MISSES = ("execution", "skyrl")


class Verifier:
    """Judges predictions by running them, in the sandbox, against a registered database."""

    def __init__(
        self,
        registry: DatabaseRegistry,
        executor: Executor,
        policy: Policy | None = None,
        copies: Copies | None = None,
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._policy = policy or Policy()
        self._copies = copies
        self.cache = VerdictCache(self._policy.cache_bytes)

    @property
    def version(self) -> str:
        """Changes whenever a verdict might: package, meaning of verdicts, SQL engine."""
        return f"{__version__}+verdicts-{VERSION}.sqlite-{self._executor.engine_version}"

    async def verify(self, task: VerifyTask) -> VerifyReport:
        """A verdict for each prediction, in order.

        A wrong, unsafe or endless prediction is a verdict. Raises UnknownDatabase,
        DatabaseUnusable or NoFreeWorker; with `robust` also UnsupportedValue where there is no
        folder for copies, Unavailable and NoDiskSpace where they cannot be built.
        """
        database, sha256 = await self._registry.look(task.db_id)
        sqls = [_sql(prediction, task.extract) for prediction in task.predictions]
        distinct = list(dict.fromkeys(sql for sql in sqls if sql is not None))
        key = self._key(task, sha256)

        async def work(predictions: Sequence[str]) -> Judged:
            end = time.monotonic() + self._executor.limits.group_timeout_s
            judged = await judge(self._executor, database.path, self._group(key, predictions))
            if (await self._registry.look(task.db_id))[1] != sha256:
                for answer in judged.predictions.values():
                    answer["volatile"] = True  # of another file than the cache would say
            if key.robust and judged.predictions:
                await self._on_copies(database, key, predictions, judged, end)
            return judged

        answers = await self.cache.answers(key, distinct, work)
        gold = gold_report(task.db_id, answers.golds)
        rejected = self._policy.reject_flags if task.reject_flags is None else task.reject_flags
        return VerifyReport(
            db_id=task.db_id,
            database_sha256=sha256,
            verifier_version=self.version,
            gold=gold,
            verdicts=[
                verdict_of(prediction, sql, answers, gold, task, rejected)
                for prediction, sql in zip(task.predictions, sqls, strict=True)
            ],
        )

    async def _on_copies(
        self,
        database: Database,
        key: GroupKey,
        predictions: Sequence[str],
        judged: Judged,
        end: float,
    ) -> None:
        if self._copies is None:
            raise UnsupportedValue(
                "robust: this verifier has no folder for altered copies", param="robust"
            )
        answers = {predictions[n]: answer for n, answer in judged.predictions.items()}
        golds = [key.golds[n] for n, gold in judged.golds.items() if gold["status"] == "ok"]
        await mark_coincidences(self._executor, self._copies, database, key, golds, answers, end)

    def _key(self, task: VerifyTask, sha256: str) -> GroupKey:
        limits = self._executor.limits
        return GroupKey(
            database_sha256=sha256,
            golds=task.gold_sql,
            metrics=task.metrics,
            timeout_s=min(task.timeout_s or limits.query_timeout_s, limits.query_timeout_s),
            gold_timeout_s=limits.gold_timeout_s,
            diff_rows=task.diff_rows,
            robust=task.robust,
            by_width=task.reward in _ERRORS_EARN_AS_MISSES,
            verifier_version=self.version,
        )

    def _group(self, key: GroupKey, predictions: Sequence[str]) -> Group:
        return Group(
            golds=key.golds,
            predictions=tuple(predictions),
            metrics=key.metrics,
            timeout_s=key.timeout_s,
            gold_timeout_s=key.gold_timeout_s,
            group_timeout_s=self._executor.limits.group_timeout_s,
            diff_rows=key.diff_rows,
            by_width=key.by_width,
            gold_s=self.cache.gold_s(key),
        )


def _sql(prediction: str, extract: Extract) -> str | None:
    # As it is, even when empty: BIRD's evaluator runs an empty prediction too.
    return prediction if extract == "none" else extract_sql(prediction, extract)
