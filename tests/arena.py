"""A sandbox with its database to be attacked, and the honest request that must still work."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.sandbox.pool import SPARE
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.policy import Policy
from service.text2sql.types import Verdict, VerifyReport, VerifyTask
from service.text2sql.verifier import Verifier
from tests.conftest import SHOP
from tests.sandbox_watch import SandboxWatch, workers

LIMITS = Limits(query_timeout_s=10, gold_timeout_s=10, kill_grace_s=0.3, memory_mb=512)
GOLD = "SELECT name FROM customer WHERE city = 'Rome'"
RIGHT = "SELECT c.name FROM customer AS c WHERE c.city LIKE 'rome'"
WRONG = "SELECT name FROM customer WHERE city = 'Paris'"
ON_TIME_S = 10.0
"""Generous: an honest request takes milliseconds, starting a worker a tenth of a second."""
_REST_S = 30.0

T = TypeVar("T")


def _worker_pids() -> set[int]:
    return {worker.pid for worker in workers()}


def write_database(path: Path, script: str) -> Path:
    """A database file from a script, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


class Arena:
    """An event loop, an executor and a verifier that outlive many attacks."""

    def __init__(
        self, root: Path, script: str = SHOP, limits: Limits = LIMITS, workers: int = 1
    ) -> None:
        self.path = write_database(root / "data" / "shop" / "shop.sqlite", script)
        self.data = root / "data"
        self.executor = Executor(workers=workers, limits=limits)
        self._workers = workers
        self._others = _worker_pids()  # other tests' services
        self._runner = asyncio.Runner()

    def __enter__(self) -> "Arena":
        self.run(self.executor.start())
        self.rescan()
        self.check_honest()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.executor.close())
        self._runner.close()

    def restart(self) -> None:
        """Replace every worker, so that none has a file open that is gone."""
        for pid in self.executor.pids():
            with suppress(ProcessLookupError):  # gone by itself meanwhile
                os.kill(pid, signal.SIGKILL)
        self.check_honest()
        self.rest()

    def rest(self) -> None:
        """Wait until no worker is busy, starts or ends: an answer does not wait for that."""
        until = time.monotonic() + _REST_S
        while not self._at_rest():
            assert time.monotonic() < until, (self.executor.pids(), _worker_pids() - self._others)
            self._pause(0.02)

    def _at_rest(self) -> bool:
        ready = set(self.executor.pids())
        alone = ready == _worker_pids() - self._others
        return alone and len(ready) == self._workers + SPARE and not self.executor.busy

    async def during(self, db_id: str, sql: str, act: Callable[[], object]) -> VerifyReport:
        """The report on a prediction under which something happens to the file."""
        task = VerifyTask(db_id, ("SELECT 1",), (sql,), timeout_s=1.5)
        judging = asyncio.create_task(self.verifier.verify(task))
        while not self.executor.busy:
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        act()
        return await judging

    def rescan(self) -> None:
        """Find the databases anew."""
        self.verifier = Verifier(
            DatabaseRegistry.scan([self.data]), self.executor, Policy(cache_bytes=0)
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish a coroutine on the sandbox's own loop."""
        return self._runner.run(work)

    def watch(self, **bounds: Any) -> SandboxWatch:
        """The check that an attack left nothing; what came before it is waited for."""
        self.rest()
        return SandboxWatch(self.data, pause=self._pause, **bounds)

    def _pause(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def verify(
        self, gold: str, *predictions: str, db_id: str = "shop", **rest: Any
    ) -> VerifyReport:
        """The verifier's report on one group."""
        return self.run(self.verifier.verify(VerifyTask(db_id, (gold,), predictions, **rest)))

    def attack(self, sql: str, timeout_s: float = 0.4, **rest: Any) -> Verdict:
        """The verdict on a hostile prediction, everything checked afterwards."""
        with self.watch():
            verdict = self.verify(GOLD, sql, timeout_s=timeout_s, **rest).verdicts[0]
            self.check_honest()
        return verdict

    def check_honest(self) -> None:
        """A right and a wrong prediction are told apart, on time."""
        start = time.monotonic()
        report = self.verify(GOLD, RIGHT, WRONG)
        elapsed_s = time.monotonic() - start
        assert [verdict.status for verdict in report.verdicts] == ["match", "mismatch"], report
        assert elapsed_s < ON_TIME_S
