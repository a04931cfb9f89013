"""Show candidates to the SQL engine: compile them, and run them where the answer needs it."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from service.errors import NoFreeWorker
from service.generation.draft import Checked, Draft, with_checks
from service.generation.together import together
from service.sandbox.executor import Executor
from service.sandbox.result import Described, QueryResult
from service.text2sql.databases import Database

Depth = Literal["compile", "run", "compare"]
"""`compare` runs to the end, to tell results apart; `run` stops at the last row shown."""

_AT_ONCE = 4  # queries of one question in the sandbox
_UNSEEN = Checked("not run: no SQL worker was free", unseen=True)


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks on one database; results are cut at `max_rows` rows."""

    executor: Executor
    database: Database
    depth: Depth
    max_rows: int
    keeps_rows: bool = True
    """False where one query of many is the answer: then its rows are fetched when it is known."""

    async def check(self, drafts: list[Draft]) -> list[Draft]:
        """The drafts with what the engine made of them, each distinct query once.

        Where no worker is free for some, those are `unseen`; raises NoFreeWorker where for none.
        """
        waiting = (d.sql for d in drafts if d.sql and d.checked is None and not d.cut)
        queries = list(dict.fromkeys(waiting))
        # Others ask too: one question must not fill the queue of the sandbox.
        share = asyncio.Semaphore(_AT_ONCE)
        checks = await together(self._in_turn(sql, share) for sql in queries)
        failures = [check for check in checks if isinstance(check, NoFreeWorker)]
        if failures and len(failures) == len(checks):
            raise failures[0]
        seen = [_UNSEEN if isinstance(check, NoFreeWorker) else check for check in checks]
        return with_checks(drafts, dict(zip(queries, seen, strict=True)))

    async def _in_turn(self, sql: str, share: asyncio.Semaphore) -> Checked | NoFreeWorker:
        async with share:
            try:
                return await self.look(sql)
            except NoFreeWorker as error:
                return error

    async def look(self, sql: str) -> Checked:
        """What the engine makes of one query."""
        return await (self._compile(sql) if self.depth == "compile" else self._run(sql))

    async def _compile(self, sql: str) -> Checked:
        found = await self.executor.describe(self.database.path, sql)
        if found.status != "ok":
            return _fault(found)
        return Checked(None, tuple(found.tables), tuple(found.columns))

    async def _run(self, sql: str) -> Checked:
        ran = await self.executor.query(
            self.database.path,
            sql,
            timeout_s=self.executor.limits.query_timeout_s,
            max_rows=self.max_rows,
            digest=self.depth == "compare",
        )
        if ran.status != "ok":
            return _fault(ran)
        return Checked(
            tables=tuple(ran.tables),
            columns=tuple(ran.reads),
            digest=ran.digest,
            names=tuple(ran.columns),
            rows=tuple(ran.rows) if self.keeps_rows else None,
            truncated=ran.truncated,
            elapsed_ms=ran.elapsed_ms,
        )


def _fault(found: Described | QueryResult) -> Checked:
    """Why it did not run; a failure of ours says nothing about the query."""
    return Checked(found.message or found.status, unseen=found.status == "infra_error")
