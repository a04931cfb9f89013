"""Our own database: connection, schema, errors in our words. What is stored stands in the stores.

SQLite in a file, or PostgreSQL by URL, which several services may share. All stores share one
database; whichever opens first brings it to the newest schema (service/migrations). Statements are
SQLAlchemy's; what only one of the two databases needs is here, not in the stores.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.errands import Errands
from service.errors import InvalidRequest, NoDiskSpace, SettingsError, Unavailable, VeriSQLError
from service.migrations.upgrade import VERSIONS, lock, newest, revision, upgrade

BUSY_TIMEOUT_S = 5.0
STATEMENT_S = 30.0
"""Longest statement on PostgreSQL, seconds: so a server that hangs is noticed."""
MIGRATION_S = 600.0
"""The same of a statement that changes the schema."""
MIGRATION_WAIT_S = 60.0
"""Longest wait at start for another process that holds the store, seconds."""
_LOCKED_PAUSE_S = 0.05
_ALONE = 6_148_914_691_236_517_207  # an advisory lock of PostgreSQL, the same in every VeriSQL
_SQLITE = "sqlite+aiosqlite"
_POSTGRESQL = "postgresql+asyncpg"
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "40001", "40P01", "55P03")  # SQLite's names, SQLSTATEs
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_NUL = ("22021",)
_S = TypeVar("_S", bound="Storage")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def whole(
    method: Callable[Concatenate[_S, _P], Coroutine[Any, Any, _R]],
) -> Callable[Concatenate[_S, _P], Coroutine[Any, Any, _R]]:
    """For every method with a transaction: it ends though its caller is cancelled.

    A driver that is cancelled in a statement, and again while it gives its connection back, can
    wait for good (aiosqlite 0.22) or leave the connection to the garbage collector.
    """

    @wraps(method)
    async def to_its_end(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await self._errands.run(method(self, *args, **kwargs))

    return to_its_end


class _Locked(Unavailable):
    """Somebody else holds the store, and will let go."""


class Storage:
    """Base of the stores.

    Any call raises NoDiskSpace when the disk is full, Unavailable when the store is locked for
    longer than `busy_timeout_s`, unreadable, damaged or out of reach, InvalidRequest for a text
    that PostgreSQL cannot hold.
    """

    _name: ClassVar[str]
    _tables: ClassVar[tuple[sa.Table, ...]]
    """What the newest revision has; a test compares the two."""
    _versions: ClassVar[Path] = VERSIONS

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
        self._errands = Errands()
        try:
            self._engine = self._make_engine(STATEMENT_S)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"VERISQL_STORE_URL={self._url.render_as_string()} needs the Python package "
                f"{error.name!r}: install it"
            ) from error

    @property
    def _is_file(self) -> bool:
        return self._url.drivername == _SQLITE

    @property
    def place(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string()

    @property
    def _where(self) -> str:
        return f"{self._name} {self._url.database}"

    async def open(self) -> None:
        """Bring the schema to the newest revision, or make it.

        Raises SettingsError if the place cannot be used, is not our store or is one of a newer
        program. Whatever happens in between, the schema is the old or the new one.
        """
        try:
            if self._is_file:
                Path(self._url.database or "").parent.mkdir(parents=True, exist_ok=True)
            await self._upgrade_patiently()
        except (OSError, VeriSQLError) as error:
            await self.close()
            if isinstance(error, SettingsError | NoDiskSpace):
                raise
            advice = "set VERISQL_HOME or VERISQL_STORE_URL to a place that can be written, or "
            advice += "move the file away" if self._is_file else "look after the server"
            raise SettingsError(f"{self._where} cannot be opened: {error}; {advice}") from error

    async def close(self) -> None:
        """Close every connection, once the transactions under way have ended."""
        await self._errands.end()
        await self._engine.dispose()

    @whole
    async def revisions(self) -> tuple[str | None, str]:
        """The revision that the database has, if any, and the newest; nothing is changed."""
        if self._is_file and not Path(self._url.database or "").exists():
            return None, newest(self._versions)
        async with self._begin() as connection:
            found = await connection.run_sync(revision, self._versions)
            return found, newest(self._versions)

    def _make_engine(self, statement_s: float, **options: Any) -> AsyncEngine:
        wait_s = self._busy_timeout_s
        connect: dict[str, Any] = {"timeout": wait_s}
        if not self._is_file:
            # A service that stands still in a transaction must not stop the others for good.
            held = {"lock_timeout": wait_s, "idle_in_transaction_session_timeout": statement_s}
            connect["server_settings"] = {k: f"{s * 1000:.0f}" for k, s in held.items()}
            connect["command_timeout"] = statement_s
            options["pool_pre_ping"] = True  # A server that was restarted is met anew, unnoticed.
        if "poolclass" not in options:
            options["pool_timeout"] = wait_s
        engine = create_async_engine(self._url, connect_args=connect, **options)
        if self._is_file:
            sa.event.listen(engine.sync_engine, "connect", _use_wal)
        return engine

    async def _upgrade_patiently(self) -> None:
        # SQLite does not wait for a lock while it turns a new file to WAL, and services that start
        # at once all want to upgrade.
        begun = time.monotonic()
        while True:
            try:
                return await self._upgrade()
            except Unavailable as error:
                wait_s = MIGRATION_WAIT_S if isinstance(error, _Locked) else self._busy_timeout_s
                if error.retry_after_s is None or time.monotonic() - begun > wait_s:
                    raise
            await asyncio.sleep(_LOCKED_PAUSE_S)

    @whole
    async def _upgrade(self) -> None:
        engine = self._make_engine(MIGRATION_S, poolclass=sa.NullPool)
        try:
            async with self._begin(engine) as connection:
                if not await connection.run_sync(lock):
                    raise _Locked(f"{self._where} is upgraded by another process", retry_after_s=1)
                await connection.run_sync(upgrade, self._where, self._versions)
        finally:
            await engine.dispose()

    async def _alone(self, connection: AsyncConnection) -> None:
        """Until the transaction ends, no other passes here.

        For a statement that counts rows and writes by the count: PostgreSQL would not show it what
        a transaction that is still open has written. SQLite has one writer at a time.
        """
        if not self._is_file:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALONE)))

    @asynccontextmanager
    async def _begin(self, engine: AsyncEngine | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction; IntegrityError passes, for the caller to say what it means."""
        try:
            async with (engine or self._engine).begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> NoDiskSpace | Unavailable | InvalidRequest:
        where = self._where
        cause = getattr(error, "orig", None) or error
        name = str(getattr(cause, "sqlite_errorname", "") or getattr(cause, "sqlstate", ""))
        if name.startswith(_FULL):
            return NoDiskSpace(f"{where} cannot grow, its disk is full: free some space")
        if name.startswith(_NUL):
            return InvalidRequest(f"{where} cannot hold the character NUL: leave it out")
        if name.startswith(_DAMAGED):
            return Unavailable(f"{where} is damaged ({cause}): restore a copy, or move it away")
        if name.startswith(_BUSY) or isinstance(error, sa.exc.TimeoutError):
            return _Locked(f"{where} is locked by another process", retry_after_s=1)
        if isinstance(cause, TimeoutError):
            return Unavailable(f"{where} does not answer", retry_after_s=5)
        return Unavailable(f"{where} cannot be used: {cause}", retry_after_s=5)


def _use_wal(connection: Any, _record: Any) -> None:
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # What is acknowledged outlives a power cut.
        cursor.close()
    except Exception:
        connection.close()  # The pool forgets a connection that fails here.
        raise
