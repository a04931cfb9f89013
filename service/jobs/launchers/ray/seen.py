"""What Ray and the driver's note say of a run, as a Probe: pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.jobs.driver import PREEMPTED_EXIT, DriverNote
from service.jobs.launchers.base import Probe

_LOST = frozenset(
    {
        "JOB_SUPERVISOR_ACTOR_DIED",
        "JOB_SUPERVISOR_ACTOR_START_FAILURE",
        "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
        "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE",
        "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
    }
)
"""Ray's error types for the loss of its process beside the driver: never the trainer's doing."""
_OUT_OF_MEMORY = ("out of memory", "low on memory")
_SIGNALLED = 128
_LONGEST_REASON = 1000
_LOGS = ", last available logs"
"""What Ray puts between its own words and the end of the driver's log."""


def probe(details: Mapping[str, Any] | None, note: DriverNote | None, *, locked: bool) -> Probe:
    """`details` are Ray's, None if it does not know the submission; `locked`: a trainer lives."""
    if details is None:
        return _unknown_to_ray(note, locked=locked)
    whole = str(details.get("message") or "")
    status, message = details.get("status"), whole[-_LONGEST_REASON:]
    if status == "PENDING":
        return Probe("pending", reason=message)
    if status == "RUNNING":
        started = note is not None and note.phase != "waiting"
        return Probe("running" if started else "pending", reason=note.reason if note else None)
    if note is not None and note.phase == "ended":
        return _as_noted(note)
    if status == "SUCCEEDED":
        return Probe("exited", 0)
    if status == "STOPPED":
        return Probe("exited", reason=message)
    code = _exit_code(details.get("driver_exit_code"))
    lost = code == PREEMPTED_EXIT or _lost(details, message)
    if lost or (code is not None and code < 0):
        message = whole.partition(_LOGS)[0][-_LONGEST_REASON:]  # The log has nothing to do with it.
    return Probe("exited", code, preempted=lost, reason=message)


def _unknown_to_ray(note: DriverNote | None, *, locked: bool) -> Probe:
    """Ray keeps its jobs in memory unless told otherwise: started anew, it knows none of them."""
    if note is None or note.phase == "waiting":
        # No trainer was ever started, or none will be: its driver went with the cluster.
        return Probe("absent") if note is None else _forgotten("while the run waited")
    if note.phase == "ended":
        return _as_noted(note)
    if locked:
        return Probe("running", reason="Ray has forgotten the run, but its trainer lives")
    return _forgotten("while the run trained")


def _forgotten(when: str) -> Probe:
    return Probe("exited", preempted=True, reason=f"the Ray cluster was started anew {when}")


def _as_noted(note: DriverNote) -> Probe:
    ended = Probe("exited", note.exit_code, reason=note.reason)
    return replace(ended, preempted=True) if note.preempted else ended


def _lost(details: Mapping[str, Any], message: str) -> bool:
    eaten = any(words in message.lower().replace("_", " ") for words in _OUT_OF_MEMORY)
    return details.get("error_type") in _LOST and not eaten


def _exit_code(code: int | None) -> int | None:
    return _SIGNALLED - code if code is not None and code > _SIGNALLED else code
