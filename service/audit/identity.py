"""What tells the databases of a dataset from others: their bytes, their tables and columns."""

import hashlib
from contextlib import suppress

from service.audit.leaks import Identity, Side
from service.audit.subject import Subject
from service.errors import DatabaseUnusable, UnknownDatabase
from service.sandbox.executor import Executor
from service.text2sql.databases import Database

_SCHEMA = """
    SELECT lower(t.name), lower(c.name) FROM sqlite_master AS t
    JOIN pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!'
    ORDER BY 1, 2
"""
_SCHEMA_TIMEOUT_S = 10.0
_MAX_COLUMNS = 100_000


async def hashes(subject: Subject) -> dict[str, str]:
    """SHA-256 of each database's file, by db_id in order; without those that cannot be read."""
    found = {}
    for db_id in sorted({question.db_id for question in subject.rows().values()}):
        with suppress(UnknownDatabase, DatabaseUnusable, OSError):
            subject.databases.get(db_id)
            found[db_id] = await subject.databases.sha256_async(db_id)
    return found


async def side(executor: Executor, subject: Subject, sha256: dict[str, str]) -> Side:
    """The dataset as leaks.py compares it; raises NoFreeWorker or Unavailable."""
    identities = {}
    for db_id, digest in sha256.items():
        identities[db_id] = Identity(digest)
        with suppress(DatabaseUnusable):
            columns = await _columns(executor, subject.databases.get(db_id))
            identities[db_id] = Identity(digest, _hash(columns), frozenset(columns))
    return Side(subject.name, subject.rows(), identities)


async def _columns(executor: Executor, database: Database) -> list[tuple[str, str]]:
    """Tables with their columns, sorted; empty if there are none or they cannot be read."""
    result = await executor.query(
        database.path, _SCHEMA, timeout_s=_SCHEMA_TIMEOUT_S, max_rows=_MAX_COLUMNS
    )
    if result.status != "ok" or result.truncated or not result.rows:
        return []
    return [(str(table), str(column)) for table, column in result.rows]


def _hash(columns: list[tuple[str, str]]) -> str:
    if not columns:
        return ""
    return hashlib.sha256(repr(columns).encode(errors="surrogatepass")).hexdigest()
