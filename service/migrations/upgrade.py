"""Brings our database to the newest revision, in one transaction that the caller has begun.

alembic's module-wide `op` is not used, nor its env.py: two stores may open at once in one process,
so a revision is given its operations, `def upgrade(op: Operations) -> None`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.errors import SettingsError

VERSIONS = Path(__file__).with_name("versions")
TABLE = "verisql_revision"
"""Not alembic's own name: a PostgreSQL database may be shared with another program that uses it."""
_LOCK = 6_148_914_691_236_517_206  # the same in every VeriSQL
_FIRST = ("schema_version", "jobs", "answers", "feedback", "verified_queries")


def lock(connection: sa.Connection) -> bool:
    """Let nobody else upgrade until the transaction ends; False if somebody does.

    SQLite waits for its busy timeout and then raises OperationalError.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # The driver begins none before DDL.
        return True
    asked = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))
    return bool(connection.execute(asked).scalar_one())


def upgrade(connection: sa.Connection, where: str, versions: Path) -> None:
    """Run every revision that the database has not had, once `lock` is held.

    Raises SettingsError, which names the store as `where`, if a newer program or another one made
    what is there.
    """
    scripts = _scripts(versions)
    context = _context(connection, scripts)
    found = context.get_current_revision()
    if found is None:
        _refuse_foreign(connection, where)
    elif found not in {script.revision for script in scripts.walk_revisions()}:
        raise SettingsError(
            f"{where} has revision {found}, this VeriSQL knows {scripts.get_current_head()}: "
            "use the newer VeriSQL that wrote it, or another VERISQL_HOME or VERISQL_STORE_URL"
        )
    context.run_migrations(op=Operations(context))


def revision(connection: sa.Connection, versions: Path) -> str | None:
    """The revision of the database; None for an empty one and one from before revisions."""
    return _context(connection, _scripts(versions)).get_current_revision()


def newest(versions: Path) -> str:
    """The revision that this program works with."""
    return str(_scripts(versions).get_current_head())


def _scripts(versions: Path) -> ScriptDirectory:
    return ScriptDirectory(str(versions.parent), version_locations=[str(versions)])


def _context(connection: sa.Connection, scripts: ScriptDirectory) -> MigrationContext:
    def steps(heads: Any, _context: MigrationContext) -> Iterable[Any]:
        return scripts._upgrade_revs("head", heads)

    opts = {"version_table": TABLE, "script": scripts, "fn": steps}
    return MigrationContext.configure(connection, opts=opts)


def _refuse_foreign(connection: sa.Connection, where: str) -> None:
    """A store from before revisions has our table of versions, and 1 in it."""
    tables = sa.inspect(connection).get_table_names()
    ours: Sequence[str] = [name for name in _FIRST if name in tables]
    if not ours:
        return
    if "schema_version" not in ours:
        raise SettingsError(
            f"{where} has a table {ours[0]!r} that VeriSQL did not make: name another database"
        )
    version = sa.table("schema_version", sa.column("version", sa.Integer))
    number = connection.execute(sa.select(sa.func.max(version.c.version))).scalar()
    if number not in (None, 1):  # None: it was killed before it wrote the number.
        raise SettingsError(
            f"{where} has schema {number}, but no revision: restore a copy, or name another one"
        )
