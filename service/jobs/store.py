"""The job store: one table, SQLAlchemy Core.

Every write is one guarded statement, so no transaction is open while anything else is awaited.
A write that touches no row means that someone else moved the job on: the caller drops its work.
"""

import time
from pathlib import Path
from typing import Any, Unpack

import sqlalchemy as sa

from service.errors import Conflict, UnknownJob
from service.jobs.job import Changes, Job, NewJob
from service.jobs.rundir import RunError
from service.jobs.spec import JobSpec
from service.jobs.state import ACTIVE, TERMINAL, JobState, check_transition
from service.storage import Storage

_JSON = sa.JSON(none_as_null=True)

_metadata = sa.MetaData()
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


class JobStore(Storage):
    """Async access to the jobs table; any call raises as storage.py says."""

    _name = "the job store"
    _tables = (_jobs,)

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
        oldest = _not_written(waiting).order_by(_jobs.c.id).limit(1).scalar_subquery()
        # One statement: the count, the choice and the write cannot be torn apart by another.
        statement = (
            sa.update(_jobs)
            .where(_jobs.c.id == oldest, waiting, active < limit)
            .values(status="starting", started_at=now, lease_owner=owner, lease_until=now + lease_s)
            .returning(_jobs.c.id)
        )
        async with self._begin() as connection:
            await self._alone(connection)
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
        wanted = needy & (free | half_gone)
        await self._write(
            sa.update(_jobs)
            .where(wanted, _jobs.c.id.in_(_not_written(wanted)))
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

    async def _rows(self, query: sa.Select[Any]) -> list[Job]:
        async with self._begin() as connection:
            return [_job(row) for row in (await connection.execute(query)).mappings()]

    async def _write(self, statement: sa.Update) -> int:
        async with self._begin() as connection:
            return (await connection.execute(statement)).rowcount


def _not_written(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Ids of rows that are so, without those that another service is writing: their turn is next.

    PostgreSQL would wait for those, SQLite has one writer at a time.
    """
    return sa.select(_jobs.c.id).where(condition).with_for_update(skip_locked=True)


def _job(row: sa.RowMapping) -> Job:
    values: dict[str, Any] = dict(row)
    values["spec"] = JobSpec.model_validate(values["spec"])
    values["run_dir"] = Path(values["run_dir"])
    values["error"] = RunError.model_validate(values["error"]) if values["error"] else None
    return Job(**values)
