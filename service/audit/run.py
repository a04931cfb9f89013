"""Drive an audit: every gold through the sandbox, then everything that needs no sandbox."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain

from service.audit.duplicates import duplicates
from service.audit.findings import gold_findings
from service.audit.identity import hashes, side
from service.audit.kinds import KINDS, Finding
from service.audit.leaks import Side, leaks
from service.audit.places import Databases
from service.audit.subject import Audit, Options, Subject
from service.errors import DatabaseUnusable, TooLarge, UnknownDatabase
from service.pages.texts import one_line
from service.sandbox.examining import Examined, examine
from service.sandbox.executor import Executor
from service.text2sql.questions import Question

Progress = Callable[[int], None]
"""Called with the number of questions whose gold has just been run."""


async def audit(
    executor: Executor,
    subject: Subject,
    against: Sequence[Subject] = (),
    options: Options | None = None,
    *,
    concurrency: int = 1,
    progress: Progress = lambda _: None,
) -> Audit:
    """Run every gold, `concurrency` at a time, each bounded by the executor's gold_timeout_s.

    A gold that is slow, broken, deadly or not reached in time is a finding. Raises NoFreeWorker or
    Unavailable, and TooLarge where not even the databases could be looked at in time.
    """
    options = options or Options()
    rows = subject.rows()
    limit_s = options.time_limit_s
    end = None if limit_s is None else asyncio.get_running_loop().time() + limit_s
    try:
        async with asyncio.timeout_at(end):
            sha256, mine, others = await _sides(executor, subject, against)
    except TimeoutError:
        raise _out_of_time(options) from None
    golds, missing = await _examine_all(executor, subject, concurrency, progress, end)
    judged = chain(
        (Finding("malformed", n, one_line(fault.message)) for n, fault in subject.faults.items()),
        missing,
        _unreached(rows, golds, missing),
        *(gold_findings(row, gold, options.slow_s) for row, gold in golds.items()),
        duplicates(rows, golds),
        *(leaks(mine, other) for other in others),
    )
    return Audit(
        subject=subject,
        against=tuple(other.name for other in against),
        options=options,
        gold_timeout_s=executor.limits.gold_timeout_s,
        # A second's work for a large dataset, which may not hold up the event loop.
        findings=await asyncio.to_thread(sorted, judged, key=_by_row_and_kind),
        golds=golds,
        sha256=sha256,
    )


async def _sides(
    executor: Executor, subject: Subject, against: Sequence[Subject]
) -> tuple[dict[str, str], Side, list[Side]]:
    """The hashes of the databases, and the datasets as they are compared."""
    sha256 = await hashes(subject)
    if not against:
        return sha256, Side(subject.name, subject.rows()), []
    mine = await side(executor, subject, sha256)
    return sha256, mine, [await side(executor, other, await hashes(other)) for other in against]


def _out_of_time(options: Options) -> TooLarge:
    return TooLarge(
        f"the databases alone could not be read within {options.time_limit_s:g} s "
        "(VERISQL_AUDIT_TIMEOUT_S): send fewer questions at a time, or use `verisql audit`, which "
        "has no time limit"
    )


def _unreached(
    rows: Mapping[int, Question], golds: Mapping[int, Examined], missing: Sequence[Finding]
) -> Iterator[Finding]:
    looked_for = golds.keys() | {finding.row for finding in missing}
    for row in rows:
        if row not in looked_for:
            yield Finding("not_reached", row, "the time for the whole audit was over")


_PLACE = {name: place for place, name in enumerate(KINDS)}


def _by_row_and_kind(finding: Finding) -> tuple[int, int]:
    return finding.row, _PLACE[finding.kind]


async def _examine_all(
    executor: Executor,
    subject: Subject,
    concurrency: int,
    progress: Progress,
    end: float | None,
) -> tuple[dict[int, Examined], list[Finding]]:
    """What each gold has shown, by row, and a finding for each database that is not there.

    Golds that are still running at `end`, by the loop's clock, are stopped and not among them.
    """
    golds: dict[int, Examined] = {}
    missing: list[Finding] = []
    same: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, question in subject.rows().items():
        same[question.db_id, question.gold_sql].append(row)
    waiting = iter(same.items())

    async def work() -> None:
        for (db_id, sql), rows in waiting:
            try:
                gold = await _examine(executor, subject.databases, db_id, sql)
                golds.update(dict.fromkeys(rows, gold))
            except UnknownDatabase:
                name = one_line(f"no database is registered as {db_id!r}")
                missing.extend(Finding("unknown_database", row, name) for row in rows)
            progress(len(rows))

    with suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            await _together([work] * concurrency)
    return {row: golds[row] for row in sorted(golds)}, missing


async def _examine(executor: Executor, databases: Databases, db_id: str, sql: str) -> Examined:
    try:
        path = databases.get(db_id).path
        return await examine(executor, path, sql, executor.limits.gold_timeout_s)
    except DatabaseUnusable as error:
        return Examined("infra_error", message=error.message, corrupt=True)


async def _together(works: Sequence[Callable[[], Coroutine[None, None, None]]]) -> None:
    """All of them; the first error ends the others and is raised as it is."""
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
