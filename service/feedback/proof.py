"""See in the sandbox that SQL runs, and that it still reads the same columns."""

from service.errors import SqlRejected, Unavailable
from service.feedback.records import Proof, VerifiedQuery
from service.sandbox.executor import Executor
from service.sandbox.result import Described, QueryResult
from service.text2sql.databases import DatabaseRegistry

_MAX_ROWS = 10_000  # the most that /generate gives
_REMEMBERED = 4096


class Prover:
    """Runs the SQL of feedback, each statement read-only and within the query timeout."""

    def __init__(self, registry: DatabaseRegistry, executor: Executor) -> None:
        self._registry = registry
        self._executor = executor
        self._holds: dict[tuple[str, str], bool] = {}

    async def prove(self, db_id: str, sql: str) -> Proof:
        """Compile it and run it.

        Raises SqlRejected with the engine's message, Unavailable where the sandbox failed,
        UnknownDatabase, DatabaseUnusable.
        """
        database, sha256 = await self._registry.look(db_id)
        described = await self._executor.describe(database.path, sql)
        _check(described, db_id)
        timeout_s = self._executor.limits.query_timeout_s
        ran = await self._executor.query(
            database.path, sql, timeout_s=timeout_s, max_rows=_MAX_ROWS
        )
        _check(ran, db_id)
        return Proof(sql, sha256, _reads(described))

    async def holds(self, query: VerifiedQuery, database_sha256: str) -> bool:
        """False if the database has changed so that the SQL does not compile to the same.

        What it reads has to be the same too: SQLite takes "name" for a text once the column is
        gone. False also where the sandbox is too busy to tell.
        """
        if query.database_sha256 == database_sha256:
            return True
        key = (query.id, database_sha256)
        if key not in self._holds:
            described = await self._describe(query)
            if described is None:
                return False
            while len(self._holds) >= _REMEMBERED:
                del self._holds[next(iter(self._holds))]
            self._holds[key] = described.status == "ok" and _reads(described) == query.reads
        return self._holds[key]

    async def _describe(self, query: VerifiedQuery) -> Described | None:
        path = self._registry.get(query.db_id).path
        try:
            described = await self._executor.describe(path, query.sql)
        except Unavailable:
            return None
        return None if described.status in ("infra_error", "timeout") else described


def _check(found: Described | QueryResult, db_id: str) -> None:
    if found.status == "infra_error":
        raise Unavailable(f"the SQL could not be tried: {found.message}", retry_after_s=1)
    if found.status != "ok":
        raise SqlRejected(
            f"the SQL does not run on {db_id!r} ({found.status}): {found.message}", param="sql"
        )


def _reads(described: Described) -> tuple[str, ...]:
    return tuple(sorted({*described.tables, *described.columns}))
