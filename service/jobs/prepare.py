"""Make a run directory ready for the trainer: names become paths, job.json is written.

This may download and convert a model for minutes, so it runs in a thread of its own.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.errors import InvalidRequest, NoDiskSpace, VeriSQLError
from service.jobs.checks import MIN_FREE_BYTES, check_disk, check_verify_url
from service.jobs.datasets import find_questions
from service.jobs.job import Job
from service.jobs.rundir import RunDir, is_full
from service.jobs.spec import RunRequest
from service.models.registry import resolve_model
from service.sandbox.limits import Limits


@dataclass(frozen=True, slots=True)
class Preparer:
    """Where preparation finds things."""

    data_dirs: Sequence[Path]
    models_dir: Path
    limits: Limits
    """Of the service's own sandbox; the trainer's has the same."""
    values_path: Path | None = None
    """Where trainers keep value indexes and their key; None is each run's own folder."""
    min_free_bytes: int = MIN_FREE_BYTES
    """No trainer starts on a disk with less: it could not save its first checkpoint."""
    verify_urls: Collection[str] = ()
    """Services that a job may name as `verify_url`, now."""

    def prepare(self, job: Job, stop: threading.Event, *, parent: Path | None = None) -> None:
        """Write job.json unless it is there; may be repeated after a crash at any point.

        `parent` is the run folder of the job that this one is a fork of. Blocks; gives up soon
        after `stop` is set. Raises UnknownDataset, InvalidRequest, UnsupportedValue,
        ModelUnavailable, NoDiskSpace.
        """
        check_verify_url(job.spec.verify_url, self.verify_urls)  # It may be off the list by now.
        run = RunDir(job.run_dir)
        check_disk(run.path, self.min_free_bytes)
        try:
            if not run.exists():
                run.path.mkdir(parents=True, exist_ok=True)
                run.create(self._request(job, run, stop, parent))
            if job.attempt:
                run.begin_attempt()
        except OSError as error:
            if is_full(error):
                raise NoDiskSpace(f"the disk of {run.path} is full: free some space") from error
            raise VeriSQLError(f"the run cannot be prepared: {error}") from error

    def _request(
        self, job: Job, run: RunDir, stop: threading.Event, parent: Path | None
    ) -> RunRequest:
        spec = job.spec

        def say(line: str) -> None:
            run.append_event("info", "model", line)

        def folder(name: str) -> Path:
            return resolve_model(name, self.models_dir, say, stop=stop).path

        train = find_questions(spec.train_data, self.data_dirs, "train_data", "train")
        dev = spec.dev_data and find_questions(spec.dev_data, self.data_dirs, "dev_data", "dev")
        others = spec.hyperparameters.select.base_models if "select" in spec.recipe else []
        return RunRequest(
            job_id=job.id,
            spec=spec,
            base_model_path=folder(spec.base_model),
            train_data_path=train,
            dev_data_path=dev or None,
            other_models={name: folder(name) for name in others},
            parent_adapter_path=_adapter(job, parent) if parent else None,
            values_path=self.values_path,
            data_dirs=list(self.data_dirs),
            query_timeout_s=self.limits.query_timeout_s,
            gold_timeout_s=self.limits.gold_timeout_s,
            worker_memory_mb=self.limits.memory_mb,
        )


def _adapter(job: Job, parent: Path) -> Path:
    folder = RunDir(parent).checkpoints_path / f"step_{job.parent_step}"
    if not (folder / "adapter_config.json").is_file():
        raise InvalidRequest(
            f"step {job.parent_step} of {job.parent_id} is no checkpoint with an adapter any more: "
            f"there is no {folder / 'adapter_config.json'}",
            param="parent",
        )
    return folder


async def in_own_thread(call: Callable[[threading.Event], None]) -> None:
    """Run a blocking call in a daemon thread; cancelling this sets the event that `call` is given.

    Unlike a pool's thread it cannot hold up the end of the service.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()

    def settle(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        failure: BaseException | None = None
        try:
            call(stop)
        except BaseException as error:  # noqa: BLE001 - it travels to the one who awaits.
            failure = error
        with suppress(RuntimeError):  # The loop may be closed by now.
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=work, daemon=True, name="prepare").start()
    try:
        await done
    finally:
        stop.set()
