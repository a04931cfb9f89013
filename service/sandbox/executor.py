"""Run untrusted SQL in a pool of warm worker processes.

Covered: a statement that runs too long, uses too much memory, crashes its process, or tries to
change anything ends as a status, and the next task finds a healthy worker. The parent kills a
worker that misses a deadline and starts another; nothing is shared between gold and prediction.
Not covered: this is no kernel sandbox. A flaw in SQLite itself that runs code would run it as this
user, without files to write but with files to read; containers are the outer wall.

Only "no worker" and "no such file" raise; everything else is a value.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from service.sandbox.frames import Frame
from service.sandbox.lease import Lease
from service.sandbox.limits import Limits
from service.sandbox.pool import Pool
from service.sandbox.process import WorkerDied, WorkerLate
from service.sandbox.result import Described, QueryResult
from service.sandbox.waiting import Wanted

_COMPILE_TIMEOUT_S = 5.0
_TRIES = 2


class Executor:
    """The sandbox as the rest of the service sees it."""

    def __init__(
        self,
        *,
        workers: int,
        limits: Limits,
        max_queued: int = 256,
        queue_timeout_s: float = 60.0,
    ) -> None:
        self.limits = limits
        self._pool = Pool(workers, limits, max_queued, queue_timeout_s)

    async def start(self) -> None:
        """Start the workers; raises Unavailable if one cannot start."""
        await self._pool.start()

    async def close(self) -> None:
        """Kill every worker; nothing is left behind, and nobody is left waiting."""
        await self._pool.close()

    async def __aenter__(self) -> "Executor":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def engine_version(self) -> str:
        """Version of the SQL engine in the workers."""
        return self._pool.engine_version

    @property
    def replaced(self) -> int:
        """Workers killed or lost so far."""
        return self._pool.replaced

    @property
    def busy(self) -> int:
        """Workers with a task."""
        return self._pool.busy

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker."""
        return self._pool.queued

    def pids(self) -> list[int]:
        """Process ids of the workers that are alive."""
        return self._pool.pids()

    @property
    def aside(self) -> int:
        """Tasks that take long and run beside the slots."""
        return self._pool.aside

    def lease(self, wanted: Wanted) -> AbstractAsyncContextManager[Lease]:
        """Borrow a worker for a task of several answers (judging.py)."""
        return self._pool.lease(wanted)

    async def query(
        self,
        database: Path,
        sql: str,
        *,
        timeout_s: float,
        max_rows: int,
        max_bytes: int = 1_048_576,
        digest: bool = False,
    ) -> QueryResult:
        """Run one read-only statement; at most `max_rows` rows and about `max_bytes` of JSON come.

        Fewer rows where more do not fit; `too_large` where not even the names of the columns do.
        With `digest` it runs to its end, and the digest of all its rows comes with the first ones.
        """
        task = {"op": "query", "sql": sql, "timeout_s": timeout_s}
        bounds = {"max_rows": max_rows, "max_bytes": max_bytes}
        if digest:
            bounds["digest_rows"] = self.limits.max_gold_rows
        return QueryResult(**await self._single(database, task | bounds, timeout_s))

    async def describe(self, database: Path, sql: str) -> Described:
        """Compile a statement without running it."""
        task = {"op": "describe", "sql": sql, "timeout_s": _COMPILE_TIMEOUT_S}
        return Described(**await self._single(database, task, _COMPILE_TIMEOUT_S))

    async def _single(self, database: Path, task: Frame, timeout_s: float) -> Frame:
        fault = False
        async with self.lease(Wanted(str(database))) as lease:
            for _ in range(_TRIES):
                try:
                    await lease.ask(task)
                    frame = await lease.receive(lambda: timeout_s, _patience_s)
                    answer: Frame = frame["answers"][0]
                    answer.pop("corrupt", None)  # of interest to the verifier only
                    return answer
                except WorkerLate as late:
                    return late.answer(f"stopped after {timeout_s:g} s")
                except WorkerDied as death:
                    fault = death.by_its_own_fault
                    await lease.renew()
        status = "exec_error" if fault else "infra_error"
        return {"status": status, "message": "the statement ended its worker process twice"}


def _patience_s() -> float:
    """Of the processor's time, after which a single statement lets others go first."""
    return 0.1
