"""What a Job and its pods, as the API server gives them, say of a run: one Probe. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from service.jobs.launchers.base import Handle, Probe
from service.jobs.launchers.kubernetes.labels import CONTAINER

Thing = Mapping[str, Any]

LOST_S = 60.0
"""How long after its time to end was over a disrupted pod counts as gone with its node."""

_MACHINES_FAULT = (
    *("NodeLost", "NodeShutdown", "Shutdown", "Terminated"),
    *("UnexpectedAdmissionError", "NodeAffinity"),
)
"""Reasons of a pod that has failed through its node, also one that turned it away."""
_OUT_OF_MEMORY = "OOMKilled"
_SIGNAL, _SIGNALS = 128, 64
_LONGEST = 500


def seen(job: Thing, pods: Sequence[Thing], handle: Handle, *, now: float) -> Probe:
    """The run's state; `now` is Unix seconds."""
    conditions = _true_conditions(job)
    if "Complete" in conditions:
        return Probe("exited", 0, handle)
    if "Failed" in conditions:
        return _failed(conditions["Failed"], pods, handle)
    if lost := [pod for pod in pods if _is_lost(pod, now)]:
        reason = f"{_name(lost[0])} is lost with its node: {_disruption(lost[0])}"
        return Probe("exited", None, handle, preempted=True, reason=_short(reason))
    if "deletionTimestamp" in job["metadata"]:
        return Probe("running", handle=handle, reason="it is told to end")
    waiting = _why_pending(job, pods)
    return Probe("pending" if waiting else "running", handle=handle, reason=waiting)


def telling_pod(pods: Sequence[Thing]) -> Thing | None:
    """Whose output matters: the pod that failed first, else that of node 0, else the newest.

    Of several that failed, one that was killed for want of memory comes before all others.
    """
    failed = [pod for pod in pods if _exit_code(pod)]
    if failed:
        return min(failed, key=lambda pod: (not _is_out_of_memory(pod), _ended_at(pod)))
    first = [pod for pod in pods if _index(pod) == "0"]
    return max(first or pods, key=_made_at, default=None)


def _failed(condition: Thing, pods: Sequence[Thing], handle: Handle) -> Probe:
    taken = next((pod for pod in pods if _is_taken(pod)), None)
    # The policy of render.py has one rule: a pod whose machine was taken away.
    preempted = condition.get("reason") == "PodFailurePolicy" or taken is not None
    pod = taken or telling_pod(pods)
    said = [_say(condition), _disruption(taken) if taken else _end_of(pod)]
    return Probe(
        "exited",
        _exit_code(pod) if pod else None,
        handle,
        preempted=preempted,
        out_of_memory=pod is not None and not preempted and _is_out_of_memory(pod),
        reason=_short("; ".join(text for text in said if text)),
    )


def _why_pending(job: Thing, pods: Sequence[Thing]) -> str | None:
    """None once every node's pod has started."""
    if job["spec"].get("suspend"):
        return "suspended: a queue holds it"
    if "Suspended" in _true_conditions(job):
        return "suspended"
    nodes = job["spec"].get("completions") or 1
    if sum(_has_started(pod) for pod in pods) >= nodes:
        return None
    reasons = [reason for pod in pods if not _has_started(pod) for reason in _hindrances(pod)]
    if reasons:
        return _short(reasons[0])
    return "its pods are starting" if pods else "its pods are not made yet; a quota may be full"


def _hindrances(pod: Thing) -> Iterator[str]:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _say(condition)
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if waiting := status.get("state", {}).get("waiting"):
            yield _say(waiting)


def _has_started(pod: Thing) -> bool:
    return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")


def _is_taken(pod: Thing) -> bool:
    """True if the pod ended since its machine was taken away, not by its own doing."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return False
    if status.get("reason") == "Evicted":
        # A pod that fills its own disk is evicted too.
        return "exceed" not in status.get("message", "") or bool(_disruption(pod))
    return bool(_disruption(pod))


def _is_out_of_memory(pod: Thing) -> bool:
    # Nothing else ends so: a node whose neighbour died of it ends with another reason.
    return _terminated(pod).get("reason") == _OUT_OF_MEMORY


def _is_lost(pod: Thing, now: float) -> bool:
    """True if nobody is left to say that the pod has ended: its node does not answer."""
    deleted = pod["metadata"].get("deletionTimestamp")
    # That time is when its grace is over, not when it began.
    return bool(deleted) and _is_taken(pod) and now > _seconds(deleted) + LOST_S


def _disruption(pod: Thing) -> str:
    conditions = _true_conditions(pod)
    if "DisruptionTarget" in conditions:
        return _say(conditions["DisruptionTarget"])
    status = pod.get("status", {})
    reason = status.get("reason", "")
    return _say(status) if reason in _MACHINES_FAULT or reason.startswith("OutOf") else ""


def _end_of(pod: Thing | None) -> str:
    if pod is None:
        return ""
    status = pod.get("status", {})
    terminated = _terminated(pod)
    if terminated:
        return f"{_name(pod)}: {_say(terminated)}"
    return f"{_name(pod)}: {_say(status)}" if status.get("reason") else ""


def _exit_code(pod: Thing) -> int | None:
    """As Python counts: negative for a signal, where container runtimes add 128."""
    code = _terminated(pod).get("exitCode")
    if code is None:
        return None
    return _SIGNAL - code if _SIGNAL < code <= _SIGNAL + _SIGNALS else int(code)


def _terminated(pod: Thing) -> Thing:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] == CONTAINER:
            found: Thing = status.get("state", {}).get("terminated") or {}
            return found
    return {}


def _ended_at(pod: Thing) -> str:
    # Two times of one format: the earlier text is the earlier time.
    return _terminated(pod).get("finishedAt") or "9"


def _made_at(pod: Thing) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def _index(pod: Thing) -> str | None:
    annotations = pod["metadata"].get("annotations") or {}
    found: str | None = annotations.get("batch.kubernetes.io/job-completion-index")
    return found


def _true_conditions(thing: Thing) -> dict[str, Thing]:
    conditions = thing.get("status", {}).get("conditions") or ()
    return {c["type"]: c for c in conditions if c["status"] == "True"}


def _say(thing: Thing) -> str:
    said = [str(thing[key]) for key in ("reason", "message") if thing.get(key)]
    return ": ".join(said)


def _name(pod: Thing) -> str:
    return f"pod {pod['metadata']['name']}"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
