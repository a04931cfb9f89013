"""Examine one gold in a worker, and go on when the worker is late or dies: parent's side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.lease import Lease
from service.sandbox.process import WorkerDied, WorkerLate
from service.sandbox.result import QueryStatus
from service.sandbox.waiting import Wanted

_TRIES = 2


@dataclass(frozen=True, slots=True)
class Examined:
    """What running a gold has shown; everything after `message` only where `status` is ok."""

    status: QueryStatus
    elapsed_ms: float = 0.0
    """Of the processor, so that it does not depend on what else is running."""
    message: str = ""
    refused: str = ""
    """What the engine would not do, where `status` is forbidden."""
    corrupt: bool = False
    """The database file itself is damaged."""
    rows: int = 0
    columns: int = 0
    only_nulls: bool = False
    digest: str = ""
    """Equal for equal bags of rows (numbers at 9 significant digits)."""
    tables: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    determinate: bool | None = None
    """None where it could not be found out in time; `detail` says why."""
    reason: str = ""
    """random, clock, repeat, scan_order, row_order or ties, where `determinate` is false."""
    detail: str = ""
    tied_order: bool = False
    """The rows are determined, but not their order, although the gold orders them."""


async def examine(executor: Executor, database: Path, sql: str, timeout_s: float) -> Examined:
    """Run the gold as it is, again and in other orders, each part within `timeout_s`.

    A gold that is late, crashes its worker or is refused is a value. Raises NoFreeWorker,
    DatabaseUnusable, Unavailable.
    """
    task = {"op": "examine", "sql": sql, "timeout_s": timeout_s}
    seen: dict[str, Any] = {}
    fault = False
    async with executor.lease(Wanted(str(database))) as lease:
        for _ in range(_TRIES):
            try:
                await _collect(lease, task, timeout_s, seen)
                return _examined(seen)
            except WorkerLate as late:
                answer = late.answer(f"stopped after {timeout_s:g} s")
                took_ms = 0.0 if late.starved else timeout_s * 1000
                return _cut_short(seen, answer["status"], answer["message"], took_ms)
            except WorkerDied as death:
                fault = death.by_its_own_fault
                await lease.renew()
    status: QueryStatus = "exec_error" if fault else "infra_error"
    return _cut_short(seen, status, "the statement ended its worker process twice", 0.0)


async def _collect(lease: Lease, task: Frame, timeout_s: float, seen: dict[str, Any]) -> None:
    await lease.ask(task)
    frame: Frame = {}
    while "end" not in frame:
        frame = await lease.receive(lambda: timeout_s, lambda: timeout_s)
        for answer in frame["answers"]:
            # A file that cannot be opened is told in a frame without a name.
            seen |= answer if answer.keys() & {"run", "checks"} else {"run": answer}


def _examined(seen: dict[str, Any]) -> Examined:
    values = seen["run"] | seen.get("checks", {})
    lists = {name: tuple(values.get(name, ())) for name in ("tables", "functions")}
    return Examined(**(values | lists))


def _cut_short(
    seen: dict[str, Any], status: QueryStatus, message: str, elapsed_ms: float
) -> Examined:
    """The fault belongs to the first run, or, once that was answered, to the checks after it."""
    if "run" not in seen:
        return Examined(status, elapsed_ms, message)
    return _examined(seen | {"checks": {"detail": f"not known: {message}"}})
