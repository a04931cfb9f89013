"""Our own database: connection, tables, errors in our words. What is stored stands in the stores.

SQLite in a file, or PostgreSQL by URL. Statements are SQLAlchemy's, without a dialect's own.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service.errors import NoDiskSpace, SettingsError, Unavailable, VeriSQLError

SCHEMA_VERSION = 1
"""Of all tables together; adding a table does not change it."""
BUSY_TIMEOUT_S = 5.0
_LOCKED_PAUSE_S = 0.05
_SQLITE = "sqlite+aiosqlite"
_POSTGRESQL = "postgresql+asyncpg"
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "40001", "40P01", "55P03")  # SQLite's names, SQLSTATEs
_FULL = ("SQLITE_FULL", "53100")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")

_version = sa.Table(
    "schema_version",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


class Storage:
    """Base of the stores.

    Any call raises NoDiskSpace when the disk is full, Unavailable when the store is locked for
    longer than `busy_timeout_s`, unreadable or damaged.
    """

    _name: ClassVar[str]
    _tables: ClassVar[tuple[sa.Table, ...]]

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise SettingsError(f"VERISQL_STORE_URL={url!r}: {error}") from error
        if self._url.drivername not in (_SQLITE, _POSTGRESQL) or not self._url.database:
            raise SettingsError(
                f"VERISQL_STORE_URL={self._url.render_as_string()}: must be {_SQLITE}:///FILE "
                f"or {_POSTGRESQL}://USER@HOST/DATABASE"
            )
        self._busy_timeout_s = busy_timeout_s
        try:
            self._engine = create_async_engine(
                self._url, connect_args={"timeout": busy_timeout_s}, pool_timeout=busy_timeout_s
            )
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"VERISQL_STORE_URL={self._url.render_as_string()} needs the Python package "
                f"{error.name!r}: install it"
            ) from error
        if self._is_file:
            sa.event.listen(self._engine.sync_engine, "connect", _use_wal)

    @property
    def _is_file(self) -> bool:
        return self._url.drivername == _SQLITE

    async def open(self) -> None:
        """Create the tables if absent; raises SettingsError if the place is not our store."""
        try:
            if self._is_file:
                Path(self._url.database or "").parent.mkdir(parents=True, exist_ok=True)
            await self._prepare_patiently()
        except (OSError, VeriSQLError) as error:
            await self.close()
            if isinstance(error, SettingsError | NoDiskSpace):
                raise
            raise SettingsError(
                f"{self._name} {self._url.database} cannot be opened: {error}; set VERISQL_HOME or "
                "VERISQL_STORE_URL to a place that can be written, or move the file away"
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def _prepare_patiently(self) -> None:
        # SQLite does not wait for a lock while it turns a new file to WAL, and PostgreSQL lets two
        # make the same table at once and fails one of them: two services that start at once do so.
        give_up = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                return await self._prepare()
            except (Unavailable, sa.exc.IntegrityError) as error:
                passes = isinstance(error, sa.exc.IntegrityError) or error.retry_after_s is not None
                if not passes or time.monotonic() > give_up:
                    raise
            await asyncio.sleep(_LOCKED_PAUSE_S)

    async def _prepare(self) -> None:
        async with self._begin() as connection:
            await connection.execute(sa.schema.CreateTable(_version, if_not_exists=True))
            first = sa.select(sa.literal(1), sa.literal(SCHEMA_VERSION))
            empty = ~sa.exists(sa.select(_version.c.id))
            await connection.execute(
                sa.insert(_version).from_select(["id", "version"], first.where(empty))
            )
            found = (await connection.execute(sa.select(_version.c.version))).scalar_one()
            if found > SCHEMA_VERSION:
                raise SettingsError(
                    f"{self._name} {self._url.database} has schema {found}, this VeriSQL knows "
                    f"{SCHEMA_VERSION}: use the newer VeriSQL that wrote it, or another "
                    "VERISQL_HOME"
                )
            for table in self._tables:
                await connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction; IntegrityError passes, for the caller to say what it means."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> NoDiskSpace | Unavailable:
        where = f"{self._name} {self._url.database}"
        cause = getattr(error, "orig", None) or error
        name = str(getattr(cause, "sqlite_errorname", "") or getattr(cause, "sqlstate", ""))
        if name.startswith(_FULL):
            return NoDiskSpace(f"{where} cannot grow, its disk is full: free some space")
        if name.startswith(_DAMAGED):
            return Unavailable(f"{where} is damaged ({cause}): restore a copy, or move it away")
        if name.startswith(_BUSY) or isinstance(error, sa.exc.TimeoutError):
            return Unavailable(f"{where} is locked by another process", retry_after_s=1)
        return Unavailable(f"{where} cannot be used: {cause}", retry_after_s=5)


def _use_wal(connection: Any, _record: Any) -> None:
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()
    except Exception:
        connection.close()  # The pool forgets a connection that fails here.
        raise
