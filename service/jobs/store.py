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
from service.storage import Storage, whole

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
    sa.Column("validated_at", sa.Float),
    sa.Column("attempt_started_at", sa.Float),
    sa.Column("expires_at", sa.Float, index=True),
    sa.Column("gone_at", sa.Float),
    sa.Column("not_before", sa.Float),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("retries_left", sa.Integer, nullable=False, server_default="0"),
    sa.Column("active_s", sa.Float, nullable=False, server_default="0"),
    sa.Column("parent_id", sa.String(40), index=True),
    sa.Column("parent_step", sa.Integer),
    sa.Column("reason", sa.Text),
)

_OF_THE_LAST_ATTEMPT = (
    *("wish", "lease_owner", "lease_until", "started_at", "attempt_started_at", "stopping_since"),
    *("finished_at", "expires_at", "not_before", "eta_s", "reason", "error", "handle"),
)


class JobStore(Storage):
    """Async access to the jobs table; any call raises as storage.py says."""

    _name = "the job store"
    _tables = (_jobs,)

    @whole
    async def create(self, new: NewJob) -> Job:
        """Insert a job to validate; the same idempotency key gives back the first job.

        Raises Conflict if that key came with another request.
        """
        row = {
            "id": new.id,
            "status": "validating",
            "spec": new.spec.model_dump(mode="json"),
            "spec_sha256": new.spec_sha256,
            "run_dir": str(new.run_dir),
            "idempotency_key": new.idempotency_key,
            "request_sha256": new.request_sha256,
            "created_at": time.time(),
            "priority": new.spec.priority,
            "retries_left": new.spec.max_retries,
            "parent_id": new.spec.parent.job_id if new.spec.parent else None,
            "parent_step": new.spec.parent.step if new.spec.parent else None,
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
        """Record that the job is to end; one that has ended stays as it is. Raises UnknownJob."""
        where = (_jobs.c.id == job_id) & _jobs.c.status.not_in(TERMINAL)
        await self._write(sa.update(_jobs).where(where).values(wish="cancel"))
        return await self.get(job_id)

    async def wish_pause(self, job_id: str) -> Job:
        """Record that the job is to pause, unless it is paused, ended or to be cancelled."""
        deaf = {*TERMINAL, "paused"}
        where = (_jobs.c.id == job_id) & _jobs.c.status.not_in(deaf) & _jobs.c.wish.is_(None)
        await self._write(sa.update(_jobs).where(where).values(wish="pause"))
        return await self.get(job_id)

    async def resume(self, job: Job) -> bool:
        """Queue the next attempt of a paused or failed job whose folder is there.

        False means that it is not in `job.status` any more, or is to be cancelled, and nothing was
        written: of many calls at once one writes. Raises InvalidTransition.
        """
        check_transition(job.status, "queued")
        where = sa.and_(
            _jobs.c.id == job.id,
            _jobs.c.status == job.status,
            _jobs.c.attempt == job.attempt,
            _jobs.c.gone_at.is_(None),
            sa.or_(_jobs.c.wish.is_(None), _jobs.c.status.in_(TERMINAL)),
        )
        fresh = dict.fromkeys(_OF_THE_LAST_ATTEMPT)
        next_one = {"attempt": job.attempt + 1, "retries_left": job.spec.max_retries}
        values = fresh | next_one | {"status": "queued"}
        return await self._write(sa.update(_jobs).where(where).values(values)) == 1

    @whole
    async def start_next(self, owner: str, *, lease_s: float, limit: int) -> Job | None:
        """Lease a queued job as `starting`, unless `limit` jobs are active already.

        The highest priority comes first, then the oldest; one whose pause before a retry is not
        over is passed by.
        """
        now = time.time()
        active = sa.select(sa.func.count()).where(_jobs.c.status.in_(ACTIVE)).scalar_subquery()
        waiting = sa.and_(
            _jobs.c.status == "queued",
            _jobs.c.wish.is_(None),
            sa.or_(_jobs.c.not_before.is_(None), _jobs.c.not_before <= now),
        )
        first = _not_written(waiting).order_by(_jobs.c.priority.desc(), _jobs.c.id).limit(1)
        # One statement: the count, the choice and the write cannot be torn apart by another.
        statement = (
            sa.update(_jobs)
            .where(_jobs.c.id == first.scalar_subquery(), waiting, active < limit)
            .values(
                status="starting",
                started_at=sa.func.coalesce(_jobs.c.started_at, now),
                not_before=None,
                lease_owner=owner,
                lease_until=now + lease_s,
            )
            .returning(_jobs.c.id)
        )
        async with self._begin() as connection:
            await self._alone(connection)
            started: str | None = (await connection.execute(statement)).scalar()
        return await self.get(started) if started else None

    async def claim(self, owner: str, *, lease_s: float) -> list[Job]:
        """Take and renew leases on jobs that need attention; gives the ones that `owner` holds.

        Those are jobs to validate, active ones, and waiting ones that are to be something else. A
        lease that another owner holds is respected until it runs out.
        """
        now = time.time()
        waiting = _jobs.c.status.in_(("queued", "paused"))
        needy = _jobs.c.status.in_({*ACTIVE, "validating"}) | (waiting & _jobs.c.wish.is_not(None))
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

    async def hold(self, job: Job, owner: str, *, lease_s: float) -> bool:
        """Renew the lease on a job that is still in `job.status` and `owner`'s; False if not.

        For just before something that must not be done twice.
        """
        values = {"lease_until": time.time() + lease_s}
        return await self._write(_guarded(job, owner).values(values)) == 1

    async def release(self, owner: str) -> None:
        """Give up every lease of `owner`, so that a successor need not wait."""
        where = _jobs.c.lease_owner == owner
        await self._write(sa.update(_jobs).where(where).values(lease_owner=None, lease_until=None))

    async def update(self, job: Job, owner: str, **changes: Unpack[Changes]) -> bool:
        """Write `changes` if the job still is in `job.status` and attempt, and leased to `owner`.

        False means that it is not, and nothing was written. Raises InvalidTransition for a
        status that the table of state.py does not allow.
        """
        if "status" in changes:
            check_transition(job.status, changes["status"])
        values: dict[str, Any] = dict(changes)
        if isinstance(error := values.get("error"), RunError):
            values["error"] = error.model_dump()
        guarded = _guarded(job, owner)
        if "wish" in changes:  # A newer wish is not to be forgotten with the one that is fulfilled.
            guarded = guarded.where(_jobs.c.wish == job.wish)
        return await self._write(guarded.values(values)) == 1

    async def expired(self, *, limit: int) -> list[Job]:
        """Ended jobs whose run folder is due to be removed, or was being removed; oldest first."""
        due = _jobs.c.status.in_(TERMINAL) & (_jobs.c.expires_at <= time.time())
        return await self._rows(
            sa.select(_jobs).where(due).order_by(_jobs.c.expires_at).limit(limit)
        )

    async def mark_gone(self, job: Job) -> bool:
        """Say that the run folder is gone, before it is.

        False if the job was resumed meanwhile, or if a fork, which reads the folder, may still run.
        """
        fork = _jobs.alias("fork")
        may_run = fork.c.status.not_in(("succeeded", "cancelled")) & fork.c.gone_at.is_(None)
        # One that failed before it was queued cannot be resumed.
        hopeless = (fork.c.status == "failed") & fork.c.validated_at.is_(None)
        forks = sa.select(fork.c.id).where(fork.c.parent_id == job.id, may_run, ~hopeless)
        needed = sa.exists(forks)
        where = _unchanged(job) & _jobs.c.gone_at.is_(None) & ~needed
        now = time.time()
        return await self._write(sa.update(_jobs).where(where).values(gone_at=now)) == 1

    async def postpone(self, job: Job, expires_at: float | None) -> bool:
        """Look at an ended job's folder later, or never again (None)."""
        statement = sa.update(_jobs).where(_unchanged(job)).values(expires_at=expires_at)
        return await self._write(statement) == 1

    @whole
    async def _rows(self, query: sa.Select[Any]) -> list[Job]:
        async with self._begin() as connection:
            return [_job(row) for row in (await connection.execute(query)).mappings()]

    @whole
    async def _write(self, statement: sa.Update) -> int:
        async with self._begin() as connection:
            return (await connection.execute(statement)).rowcount


def _guarded(job: Job, owner: str) -> sa.Update:
    """A write that only happens while the job is in `job.status` and leased to `owner`."""
    return sa.update(_jobs).where(
        _jobs.c.id == job.id,
        _jobs.c.status == job.status,
        _jobs.c.attempt == job.attempt,
        _jobs.c.lease_owner == owner,
    )


def _unchanged(job: Job) -> sa.ColumnElement[bool]:
    """That an ended job, which nobody leases, was not resumed."""
    return sa.and_(
        _jobs.c.id == job.id, _jobs.c.status == job.status, _jobs.c.attempt == job.attempt
    )


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
