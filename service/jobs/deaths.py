"""How an attempt ended that did not succeed: whose fault it was, what to say, when to try again.

A retry is for what the trainer is not to blame for. These ends count as "taken away":

- the launcher says so (`Probe.preempted`: node lost, evicted);
- the trainer says `cancelled` though nobody here told it to end: it was sent SIGTERM, as a drained
  node, a stopped container and `systemctl stop` do, and has saved a checkpoint;
- SIGKILL or SIGTERM that was not ours, also as a shell's exit code 137 or 143. Where the launcher
  cannot tell the kernel's out-of-memory killer from those (`Probe.out_of_memory`), a run that
  needs too much memory fails only after `max_retries` of them;
- no exit code at all: the machine, or service and trainer together, went down while nobody looked.

Everything else is the trainer's own end, which a second try would only repeat: an error that it
wrote to status.json (unless the launcher saw the machine go), another signal, another exit code.
"""

from service.errors import NoDiskSpace
from service.jobs.job import Job
from service.jobs.launchers.base import Probe
from service.jobs.rundir import FULL_EXIT, RunError, RunState, RunStatus

_KILLED = frozenset({None, -9, -15, 137, 143})
LONGEST_PAUSE_S = 600.0


def taken_away(probe: Probe, said: RunState | None) -> bool:
    """True if the attempt's end is not the trainer's doing, as the module says; pure."""
    if probe.preempted:
        return True
    if probe.out_of_memory:  # The next try would want as much.
        return False
    return said == "cancelled" or (said != "failed" and probe.exit_code in _KILLED)


def pause_before_retry(job: Job, first_s: float) -> float:
    """Seconds: `first_s` before the first retry, twice as long before each next, at most 600."""
    used = max(0, job.spec.max_retries - job.retries_left)
    return min(first_s * 2.0**used, LONGEST_PAUSE_S)


def why_taken(probe: Probe) -> str:
    """One line on how the attempt was lost."""
    return f"its machine was taken away ({probe.reason or manner(probe.exit_code)})"


def death(job: Job, probe: Probe, status: RunStatus | None, log_tail: str) -> RunError:
    """The error of a job whose trainer has ended without a result."""
    tail = f" Its last output:\n{log_tail}" if log_tail else " It wrote no output."
    if probe.preempted:
        tries = f"after {job.spec.max_retries} retries" if job.spec.max_retries else "no retry"
        said = f"{why_taken(probe)}, {tries}; raise max_retries, or resume the job.{tail}"
        return RunError(code="preempted", message=said)
    if probe.out_of_memory:
        return _out_of_memory(job, probe, tail)
    if probe.exit_code == FULL_EXIT:
        said = f"the disk of {job.run_dir} is full: free some space, then resume the job"
        return RunError(code=NoDiskSpace.code, message=said)
    stopped = status is not None and status.state == "cancelled"
    what = "was stopped from outside" if stopped else "ended without a result"
    how = manner(probe.exit_code) + (f"; {probe.reason}" if probe.reason else "")
    return RunError(code="trainer_died", message=f"the trainer {what} ({how}).{tail}")


def _out_of_memory(job: Job, probe: Probe, tail: str) -> RunError:
    asked = job.spec.resources.memory_gb
    return RunError(
        code="out_of_memory",
        message=f"the trainer wanted more memory than resources.memory_gb={asked:g} gives a node "
        f"({probe.reason or manner(probe.exit_code)}). Create a job with more of it, or with less "
        "hyperparameters.prompts_per_step or group_size; as its parent this one's checkpoints are "
        f"gone on from. A resume tries the same again.{tail}",
        param="resources.memory_gb",
    )


def too_late(job: Job) -> RunError:
    """The error of a job that is not done in time."""
    return RunError(
        code="deadline_exceeded",
        message=f"not done {job.spec.deadline_s:g} s after its start; raise deadline_s",
        param="deadline_s",
    )


def lost(job: Job) -> RunError:
    """The error of a job whose run folder is not there any more."""
    return RunError(code="run_lost", message=f"{job.run_dir} is gone, and its checkpoints with it")


def manner(exit_code: int | None) -> str:
    """An exit code for people."""
    if exit_code is None:
        return "exit code unknown"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
