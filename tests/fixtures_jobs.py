"""What the tests of training jobs share: a tiny trainer, waiting with a bound, specs."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from service.jobs.job import Job, NewJob, new_job_id
from service.jobs.launchers.base import Launcher, Placement
from service.jobs.launchers.local import LocalLauncher
from service.jobs.prepare import Preparer
from service.jobs.resources import Resources
from service.jobs.spec import JobSpec
from service.jobs.store import JobStore
from service.jobs.supervisor import Observer, Supervisor
from service.settings import load_settings

T = TypeVar("T")
TINY = Path(__file__).with_name("tiny_trainer.py")


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], what: str) -> T:
    """Look again and again until it is as wanted; fails after 20 s."""
    deadline = time.monotonic() + 20
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
    **settings: object,
) -> Supervisor:
    """A supervisor with quick settings; nothing of it survives but store and run directories."""
    chosen = {"job_poll_s": 0.02, "cancel_grace_s": 30, "engine": "off"} | settings
    loaded = load_settings(home=folder, **chosen)
    preparer = Preparer([folder], folder / "models", loaded.limits)
    return Supervisor(store, {"local": local}, preparer, loaded, lease_s=lease_s, observe=observe)


async def until_status(
    store: JobStore, job_id: str, *wanted: str, ticking: Supervisor | None = None
) -> Job:
    """Wait for a state; with `ticking`, look at the jobs in between."""

    async def look() -> Job:
        if ticking:
            await ticking.tick()
        return await store.get(job_id)

    return await until(look, lambda job: job.status in wanted, " or ".join(wanted))
