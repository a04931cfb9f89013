"""The job store: one table, SQLAlchemy Core; the only file that speaks SQL to our own database.

Every write is one guarded statement, so no transaction is open while anything else is awaited.
A write that touches no row means that someone else moved the job on: the caller drops its work.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service.errors import (
    Conflict,
    NoDiskSpace,
    SettingsError,
    Unavailable,
    UnknownJob,
    VeriSQLError,
)
from service.jobs.job import Changes, Job, NewJob
from service.jobs.rundir import RunError
from service.jobs.spec import JobSpec
from service.jobs.state import ACTIVE, TERMINAL, JobState, check_transition

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
_LOCKED_PAUSE_S = 0.05
_JSON = sa.JSON(none_as_null=True)

_metadata = sa.MetaData()
_version = sa.Table(
    "schema_version",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("spec", _JSON, nullable=False),
    sa.Column("spec_sha256", sa.String(64), nullable=False),
    sa.Column("run_dir", sa.String(4096), nullable=False),
    sa.Column("idempotency_key", sa.String(255), unique=True),
    sa.Column("request_sha256", sa.String(64), nullable=False),
    sa.Column("wish", sa.String(16)),
    sa.Column("lease_owner", sa.String(64)),
    sa.Column("lease_until", sa.Float),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("stopping_since", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("stage", sa.String(64)),
    sa.Column("progress", sa.Float, nullable=False, default=0.0),
    sa.Column("eta_s", sa.Float),
    sa.Column("error", _JSON),
    sa.Column("best_checkpoint", sa.Integer),
    sa.Column("handle", _JSON),
)


class JobStore:
    """Async access to the jobs table.

    Any call raises NoDiskSpace when the disk is full, Unavailable when the store is locked for
    longer than `busy_timeout_s`, unreadable or damaged.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise SettingsError(f"VERISQL_STORE_URL={url!r}: {error}") from error
        if self._url.drivername != "sqlite+aiosqlite" or not self._url.database:
            raise SettingsError(
                f"VERISQL_STORE_URL={self._url.render_as_string()}: "
                "this version keeps jobs in a file, sqlite+aiosqlite:///FILE"
            )
        self._engine = create_async_engine(
            self._url, connect_args={"timeout": busy_timeout_s}, pool_timeout=busy_timeout_s
        )
        self._busy_timeout_s = busy_timeout_s
        sa.event.listen(self._engine.sync_engine, "connect", _use_wal)

    async def open(self) -> None:
        """Create the tables if absent; raises SettingsError if the file is not our store."""
        path = Path(self._url.database or "")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            await self._prepare_patiently()
        except (OSError, VeriSQLError) as error:
            await self.close()
            if isinstance(error, SettingsError | NoDiskSpace):
                raise
            raise SettingsError(
                f"the job store {path} cannot be opened: {error}; set VERISQL_HOME or "
                "VERISQL_STORE_URL to a place that can be written, or move the file away"
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def create(self, new: NewJob) -> Job:
        """Insert a queued job; the same idempotency key gives back the first job.

        Raises Conflict if that key came with another request.
        """
        row = {
            "id": new.id,
            "status": "queued",
            "spec": new.spec.model_dump(mode="json"),
            "spec_sha256": new.spec_sha256,
            "run_dir": str(new.run_dir),
            "idempotency_key": new.idempotency_key,
            "request_sha256": new.request_sha256,
            "created_at": time.time(),
        }
        try:
            async with self._begin() as connection:
                await connection.execute(sa.insert(_jobs).values(row))
        except sa.exc.IntegrityError:
            earlier = await self.replay(new.idempotency_key, new.request_sha256)
            if earlier is None:
                raise
            return earlier
        return await self.get(new.id)

    async def replay(self, key: str | None, request_sha256: str) -> Job | None:
        """The job that was created under `key`, if any; raises Conflict if it differs."""
        if key is None:
            return None
        found = await self._rows(sa.select(_jobs).where(_jobs.c.idempotency_key == key))
        if found and found[0].request_sha256 != request_sha256:
            raise Conflict(
                f"Idempotency-Key {key!r} was used for {found[0].id} with another body; "
                "send the same body, or a new key",
                param="Idempotency-Key",
            )
        return found[0] if found else None

    async def get(self, job_id: str) -> Job:
        """One job; raises UnknownJob."""
        found = await self._rows(sa.select(_jobs).where(_jobs.c.id == job_id))
        if not found:
            raise UnknownJob(f"there is no training job {job_id!r}; GET /train-jobs lists them")
        return found[0]

    async def page(
        self, *, limit: int, after: str | None = None, status: JobState | None = None
    ) -> list[Job]:
        """Jobs, newest first, those that are older than job id `after`."""
        query = sa.select(_jobs).order_by(_jobs.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(_jobs.c.id < after)
        if status is not None:
            query = query.where(_jobs.c.status == status)
        return await self._rows(query)

    async def wish_cancel(self, job_id: str) -> Job:
        """Record that the job is to end; a terminal job stays as it is. Raises UnknownJob."""
        where = (_jobs.c.id == job_id) & _jobs.c.status.not_in(TERMINAL)
        await self._write(sa.update(_jobs).where(where).values(wish="cancel"))
        return await self.get(job_id)

    async def start_next(self, owner: str, *, lease_s: float, limit: int) -> Job | None:
        """Lease the oldest queued job as `starting`, unless `limit` jobs are active already."""
        now = time.time()
        active = sa.select(sa.func.count()).where(_jobs.c.status.in_(ACTIVE)).scalar_subquery()
        waiting = (_jobs.c.status == "queued") & _jobs.c.wish.is_(None)
        oldest = sa.select(sa.func.min(_jobs.c.id)).where(waiting).scalar_subquery()
        # One statement: the count, the choice and the write cannot be torn apart by another.
        statement = (
            sa.update(_jobs)
            .where(_jobs.c.id == oldest, waiting, active < limit)
            .values(status="starting", started_at=now, lease_owner=owner, lease_until=now + lease_s)
            .returning(_jobs.c.id)
        )
        async with self._begin() as connection:
            started: str | None = (await connection.execute(statement)).scalar()
        return await self.get(started) if started else None

    async def claim(self, owner: str, *, lease_s: float) -> list[Job]:
        """Take and renew leases on jobs that need attention; gives the ones that `owner` holds.

        Those are active jobs, and queued ones that are to be cancelled. A lease that another
        owner holds is respected until it runs out.
        """
        now = time.time()
        needy = _jobs.c.status.in_(ACTIVE) | (
            (_jobs.c.status == "queued") & (_jobs.c.wish == "cancel")
        )
        free = _jobs.c.lease_owner.is_(None) | (_jobs.c.lease_until < now)
        # Renewed at half time, so that an idle tick writes nothing.
        half_gone = (_jobs.c.lease_owner == owner) & (_jobs.c.lease_until < now + lease_s / 2)
        await self._write(
            sa.update(_jobs)
            .where(needy, free | half_gone)
            .values(lease_owner=owner, lease_until=now + lease_s)
        )
        mine = sa.select(_jobs).where(needy, _jobs.c.lease_owner == owner).order_by(_jobs.c.id)
        return await self._rows(mine)

    async def release(self, owner: str) -> None:
        """Give up every lease of `owner`, so that a successor need not wait."""
        where = _jobs.c.lease_owner == owner
        await self._write(sa.update(_jobs).where(where).values(lease_owner=None, lease_until=None))

    async def update(self, job: Job, owner: str, **changes: Unpack[Changes]) -> bool:
        """Write `changes` if the job is still in `job.status` and leased to `owner`.

        False means that it is not, and nothing was written. Raises InvalidTransition for a
        status that the table of state.py does not allow.
        """
        if "status" in changes:
            check_transition(job.status, changes["status"])
        values: dict[str, Any] = dict(changes)
        if isinstance(error := values.get("error"), RunError):
            values["error"] = error.model_dump()
        guard = sa.and_(
            _jobs.c.id == job.id, _jobs.c.status == job.status, _jobs.c.lease_owner == owner
        )
        return await self._write(sa.update(_jobs).where(guard).values(values)) == 1

    async def _prepare_patiently(self) -> None:
        # SQLite does not wait for a lock while it turns a new file to WAL, which two services that
        # start at once both do.
        give_up = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                return await self._prepare()
            except Unavailable as error:
                if error.retry_after_s is None or time.monotonic() > give_up:
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
                    f"the job store {self._url.database} has schema {found}, this VeriSQL knows "
                    f"{SCHEMA_VERSION}: use the newer VeriSQL that wrote it, or another "
                    "VERISQL_HOME"
                )
            await connection.execute(sa.schema.CreateTable(_jobs, if_not_exists=True))
            for index in _jobs.indexes:
                await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))

    async def _rows(self, query: sa.Select[Any]) -> list[Job]:
        async with self._begin() as connection:
            return [_job(row) for row in (await connection.execute(query)).mappings()]

    async def _write(self, statement: sa.Update) -> int:
        async with self._begin() as connection:
            return (await connection.execute(statement)).rowcount

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise self._explained(error) from error

    def _explained(self, error: sa.exc.SQLAlchemyError) -> NoDiskSpace | Unavailable:
        where = f"the job store {self._url.database}"
        cause = getattr(error, "orig", None) or error
        name = str(getattr(cause, "sqlite_errorname", ""))
        if name == "SQLITE_FULL":
            return NoDiskSpace(f"{where} cannot grow, its disk is full: free some space")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return Unavailable(f"{where} is damaged ({cause}): restore a copy, or move it away")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or isinstance(
            error, sa.exc.TimeoutError
        ):
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


def _job(row: sa.RowMapping) -> Job:
    values: dict[str, Any] = dict(row)
    values["spec"] = JobSpec.model_validate(values["spec"])
    values["run_dir"] = Path(values["run_dir"])
    values["error"] = RunError.model_validate(values["error"]) if values["error"] else None
    return Job(**values)
