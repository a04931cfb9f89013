"""What the tests of training jobs share: a tiny trainer, waiting with a bound, specs."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, TypeVar

from service.errors import Unavailable
from service.jobs.job import Job, NewJob, new_job_id
from service.jobs.launchers.base import Handle, Launcher, Placement
from service.jobs.launchers.local import LocalLauncher
from service.jobs.notes import Observer
from service.jobs.prepare import Preparer
from service.jobs.resources import Resources
from service.jobs.spec import JobSpec
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from service.jobs.validate import Validator
from service.settings import load_settings
from service.text2sql.databases import DatabaseRegistry

T = TypeVar("T")
TINY = Path(__file__).with_name("tiny_trainer.py")


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], what: str) -> T:
    """Look again and again until it is as wanted; fails after 120 s."""
    deadline = time.monotonic() + 120
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"waited for {what}, saw {seen}"
        await asyncio.sleep(0.01)
    return seen


async def until_file(path: Path) -> str:
    """Wait for a file to have content or, if it is a marker, to be there."""

    async def there() -> bool:
        return path.exists()

    await until(there, bool, str(path))
    return path.read_text()


def launcher(*acts: str) -> LocalLauncher:
    """A local launcher whose trainer does these acts (tiny_trainer.py)."""
    return LocalLauncher([sys.executable, str(TINY), *acts])


def placement(folder: Path) -> Placement:
    """A run in `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return Placement("job_1", folder, Resources())


async def submitted(launched: Launcher, run: Placement, patience_s: float = 400) -> Handle | None:
    """Submit as the supervisor does: again after each Unavailable."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return await launched.submit(run)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)


def starts(run_dir: Path) -> list[int]:
    """Process ids of every trainer that was ever started there."""
    path = run_dir / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def end_trainers(folder: Path) -> None:
    """Kill what tests left running below `folder`, by the ids that the trainers wrote."""
    for path in [*folder.rglob("starts"), *folder.rglob("child")]:
        for pid in path.read_text().split():
            command = Path(f"/proc/{pid}/cmdline")
            known = (str(folder).encode(), b"time.sleep(60)")
            with suppress(FileNotFoundError, ProcessLookupError):
                if any(mark in command.read_bytes() for mark in known):
                    os.kill(int(pid), signal.SIGKILL)


def store_at(folder: Path) -> JobStore:
    """A store in a file of `folder`; the same folder gives the same store."""
    return JobStore(f"sqlite+aiosqlite:///{folder / 'jobs.db'}")


def new_job(folder: Path, *, key: str | None = None, body: str = "a", **spec: object) -> NewJob:
    """A job as intake would hand it to the store."""
    job_id = new_job_id()
    fields = {"base_model": str(model_folder(folder / "model")), "train_data": "demo"} | spec
    return NewJob(
        id=job_id,
        spec=JobSpec.model_validate(fields),
        spec_sha256="0" * 64,
        run_dir=folder / "runs" / job_id,
        request_sha256=body,
        idempotency_key=key,
    )


def job_row(spec: dict[str, object] | None = None, **fields: Any) -> Job:
    """A job as the store would give it, for tests of pure functions: running since 100 s."""
    asked = JobSpec.model_validate({"base_model": "m", "train_data": "demo"} | (spec or {}))
    usual: dict[str, Any] = dict.fromkeys(field.name for field in fields_of(Job))
    usual |= {"id": "job_1", "status": "running", "spec": asked, "spec_sha256": ""}
    usual |= {"run_dir": Path("runs/job_1"), "request_sha256": "", "lease_owner": "me"}
    usual |= {"created_at": 800.0, "validated_at": 850.0, "started_at": 900.0}
    usual |= {"attempt_started_at": 900.0, "priority": 0, "attempt": 0, "active_s": 0.0}
    usual |= {"retries_left": asked.max_retries, "stage": "grpo", "progress": 0.0}
    return Job(**usual | {"handle": {"pid": 1}} | fields)


async def queued(store: JobStore, new: NewJob) -> Job:
    """A job that has been validated; whoever holds a lease keeps it."""
    job = await store.create(new)
    if job.status == "validating":
        await store.claim(new.id, lease_s=60)
        await store.update(job, new.id, status="queued", validated_at=1.0)
        await store.release(new.id)
    return await store.get(job.id)


def model_folder(folder: Path) -> Path:
    """A folder that looks like a model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}")
    return folder


def supervisor_over(
    store: JobStore,
    folder: Path,
    local: Launcher,
    *,
    lease_s: float = 60,
    observe: Observer | None = None,
    min_free_bytes: int = 0,
    **settings: object,
) -> Supervisor:
    """A supervisor with quick settings; nothing of it survives but store and run directories."""
    quick = {"job_poll_s": 0.02, "cancel_grace_s": 30, "retry_pause_s": 0, "job_audit_s": 0}
    loaded = load_settings(home=folder, **{"engine": "off"} | quick | settings)
    limits = loaded.limits
    preparer = Preparer([folder], folder / "models", limits, min_free_bytes=min_free_bytes)
    registry = DatabaseRegistry.scan([folder] if loaded.job_audit_s else [])
    validator = Validator(registry, limits, loaded.job_audit_s)
    places = {"local": local}
    return Supervisor(store, places, preparer, validator, loaded, lease_s=lease_s, observe=observe)


async def until_status(
    store: JobStore, job_id: str, *wanted: str, ticking: Supervisor | None = None
) -> Job:
    """Wait for a state; with `ticking`, look at the jobs in between."""

    async def look() -> Job:
        if ticking:
            await ticking.tick()
        return await store.get(job_id)

    return await until(look, lambda job: job.status in wanted, " or ".join(wanted))
