"""Runs trainers as processes of this machine that outlive the service.

How a run is found again, whatever was killed and when:

1. `submit` takes an exclusive flock on the run's `lock` file and hands the open file to the new
   process, which keeps it through `exec` until it dies; the kernel then frees it. The lock is held
   before the process exists, so there is no moment in which a second start could slip in: a
   service that dies before the spawn frees the lock, one that dies after it leaves it held.
2. The process first writes `process.json` (begin.py): its id and its birth, then becomes the
   trainer. An id that was given to another process later has another birth.
3. `poll` asks whether that very process lives. Without a process.json of this attempt the lock
   decides: free means that the attempt was never launched, held that its process is about to write
   the note, unless the process of an earlier attempt still lives: then that one holds it, and
   `submit` is Unavailable until it is gone.

A process that is gone since the machine was started anew was `preempted`. Nothing else can be known
here: the kernel's killer of processes that eat the memory looks like any other SIGKILL.

The trainer leads a session and process group of its own; signals go to that group only, after its
leader was recognised by id and birth. The run's folder must be on a local disk: flock over NFS is
not inherited.
"""

import asyncio
import errno
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from service.errors import NoDiskSpace, Unavailable, VeriSQLError
from service.jobs.launchers import begin
from service.jobs.launchers.base import Handle, Placement, Probe
from service.jobs.launchers.begin import LOCK_FD, born, is_zombie
from service.jobs.launchers.locking import is_locked, try_lock
from service.jobs.resources import WAITING_THREADS
from service.jobs.rundir import RunDir, is_full
from service.jobs.verdict_url import KEY_VARIABLE

TRAINER = (sys.executable, "-P", "-m", "trainer")
_PROJECT = Path(__file__).resolve().parents[3]
_FRESH_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
_KEPT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "HF_HOME", KEY_VARIABLE}
)
_KEPT_PREFIXES = (
    *("LC_", "LD_", "OMP_", "GOMP_", "KMP_", "MKL_", "CUDA_", "NVIDIA_", "NCCL_", "PYTORCH_"),
    *("MLFLOW_", "WANDB_"),
)
_STILL_ENDING_S = 5.0
_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class _Process(NamedTuple):
    pid: int
    born: str
    attempt: int = 0


class LocalLauncher:
    """The contract of base.py on this machine.

    `command` is what runs, with `--run-dir DIR` appended.
    """

    def __init__(self, command: Sequence[str] = TRAINER) -> None:
        self._command = tuple(command)
        self._exit_codes: dict[_Process, int] = {}

    async def submit(self, placement: Placement) -> Handle | None:
        """Spawn the trainer unless it lives; raises NoDiskSpace.

        Unavailable without memory, or while the process of an earlier attempt lives.
        """
        return await asyncio.to_thread(self._submit, placement)

    async def poll(self, placement: Placement, handle: Handle | None) -> Probe:
        """Look for the process; reaps it if it has ended and is our child."""
        return await asyncio.to_thread(self._poll, placement, handle)

    async def cancel(self, placement: Placement, handle: Handle | None, *, force: bool) -> None:
        """SIGTERM to the run's process group; with `force` SIGKILL, also to what the dead left."""
        await asyncio.to_thread(self._cancel, placement, handle, force)

    async def logs(self, placement: Placement, handle: Handle | None, *, max_bytes: int) -> str:
        """The end of trainer.log."""
        del handle
        return await asyncio.to_thread(RunDir(placement.run_dir).log_tail, max_bytes)

    def _submit(self, placement: Placement) -> Handle | None:
        run = RunDir(placement.run_dir)
        try:
            lock = os.open(run.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not try_lock(lock, fcntl.LOCK_EX):
                    return self._under_way(placement, run)
                run.process_path.unlink(missing_ok=True)
                return self._spawn(placement, run, lock)._asdict()
            finally:
                os.close(lock)  # The trainer has its own copy by now.
        except OSError as error:
            raise _explained(error, run.path) from error

    def _under_way(self, placement: Placement, run: RunDir) -> Handle | None:
        known = _noted(run)
        if known and known.attempt == placement.attempt:
            return known._asdict()
        if known and self._is_alive(known):
            raise Unavailable(
                f"process {known.pid} of attempt {known.attempt} still works in {run.path}; "
                f"attempt {placement.attempt} starts when it is gone",
                retry_after_s=_STILL_ENDING_S,
            )
        return None

    def _spawn(self, placement: Placement, run: RunDir, lock: int) -> _Process:
        program = [sys.executable, "-I", begin.__file__, str(run.process_path)]
        program.append(str(placement.attempt))
        appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            sys.executable,
            [*program, *self._command, "--run-dir", str(run.path)],
            environment_of_trainer(os.environ, placement.resources.cpus),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(run.log_path), appended, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, lock, LOCK_FD),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_FRESH_SIGNALS,
        )
        # It is our child and not reaped: it has a birth even if it has ended already.
        return _Process(pid, born(pid) or "", placement.attempt)

    def _poll(self, placement: Placement, handle: Handle | None) -> Probe:
        run = RunDir(placement.run_dir)
        process = _of_attempt(placement, run, handle)
        if process is None:
            earlier = _noted(run)
            starting = is_locked(run.lock_path) and not (earlier and self._is_alive(earlier))
            return Probe("running" if starting else "absent")
        if self._is_alive(process):
            return Probe("running", handle=process._asdict())
        rebooted = _is_of_another_boot(process)
        return Probe(
            "exited",
            self._exit_codes.get(process),
            process._asdict(),
            preempted=rebooted,
            reason="the machine was started anew" if rebooted else None,
        )

    def _cancel(self, placement: Placement, handle: Handle | None, force: bool) -> None:
        process = _of_attempt(placement, RunDir(placement.run_dir), handle)
        if process is None:
            return
        if self._is_alive(process):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
        elif force:
            for orphan in _left_behind(process):
                with suppress(psutil.NoSuchProcess):
                    orphan.kill()

    def _is_alive(self, process: _Process) -> bool:
        if born(process.pid) != process.born:
            return False
        try:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            # Not our child: the service was restarted. Its new parent may be slow to reap it.
            return not is_zombie(process.pid)
        if pid:
            self._exit_codes[process] = os.waitstatus_to_exitcode(status)
        # Our child has not ended before all its threads have, though it may look like a zombie.
        return not pid


def environment_of_trainer(outer: Mapping[str, str], cpus: int) -> dict[str, str]:
    """What the trainer sees: paths, locale and compute settings; of the service's own variables
    the key of who judges for it, and no other.
    """
    kept = {k: v for k, v in outer.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    fixed = {"PYTHONPATH": str(_PROJECT), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    threads = str(min(cpus, os.cpu_count() or 1))
    return {"OMP_NUM_THREADS": threads} | WAITING_THREADS | kept | fixed


def _of_attempt(placement: Placement, run: RunDir, handle: Handle | None) -> _Process | None:
    """This attempt's process: what the caller remembers, or what it noted itself."""
    for known in (_process(handle), _noted(run)):
        if known and known.attempt == placement.attempt:
            return known
    return None


def _process(handle: Mapping[str, Any] | None) -> _Process | None:
    # Notes of versions that knew no attempts have no number: theirs was the first.
    return (
        _Process(int(handle["pid"]), str(handle["born"]), handle.get("attempt", 0))
        if handle
        else None
    )


def _noted(run: RunDir) -> _Process | None:
    try:
        return _process(json.loads(run.process_path.read_bytes()))
    except FileNotFoundError:
        return None


def _is_of_another_boot(process: _Process) -> bool:
    """True if the machine was started anew since; never where births do not name the boot."""
    boot, colon, _ = process.born.partition(":")
    return bool(colon) and boot != (born(os.getpid()) or "").partition(":")[0]


def _left_behind(leader: _Process) -> Iterator[psutil.Process]:
    """Members of a dead trainer's session, if its id cannot mean another session by now."""
    if _is_of_another_boot(leader) or born(leader.pid) not in (None, leader.born):
        return
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == os.getsid(process.pid) == leader.pid:
                yield process


def _explained(error: OSError, folder: Path) -> VeriSQLError:
    if is_full(error):
        return NoDiskSpace(f"the disk of {folder} is full: free some space")
    if error.errno in _PASSING:
        return Unavailable(f"the trainer cannot be started now: {error}", retry_after_s=5)
    return VeriSQLError(f"the trainer cannot be started: {error}")
