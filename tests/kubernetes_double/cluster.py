"""The double's objects and the controllers over them: Jobs make pods, pods end, owners go first.

Pods are ended by a test (`start`, `finish`, ...) or, with a kubelet (kubelet.py), by themselves:
their command then runs as a process of this machine. Watches, patches and updates are not here,
since the launcher does not use them.
"""

import threading
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from tests.kubernetes_double.refusals import already_exists, conflict, invalid, not_found
from tests.kubernetes_double.rules import problems

Thing = dict[str, Any]
INDEX = "batch.kubernetes.io/job-completion-index"


class Kubelet(Protocol):
    """Who runs pods."""

    def run(self, pod: Thing) -> None: ...

    def stop(self, name: str, grace_s: float) -> None: ...


class Cluster:
    """One namespace."""

    def __init__(self, namespace: str = "verisql") -> None:
        self.namespace = namespace
        self.lock = threading.RLock()
        self.kubelet: Kubelet | None = None
        self.things: dict[str, dict[str, Thing]] = {"jobs": {}, "pods": {}, "services": {}}
        self.logs: dict[str, bytes] = {}
        self._version = 0

    # What the API offers.

    def create(self, resource: str, thing: Thing) -> Thing:
        with self.lock:
            name = thing["metadata"]["name"]
            if wrong := problems(thing):
                raise invalid(thing["kind"], name, "; ".join(wrong))
            if name in self.things[resource]:
                raise already_exists(resource, name)
            made = self._keep(resource, deepcopy(thing))
            if resource == "jobs":
                self._make_pods(made)
            return made

    def get(self, resource: str, name: str) -> Thing:
        if name not in self.things[resource]:
            raise not_found(resource, name)
        return self.things[resource][name]

    def select(self, resource: str, selector: str) -> list[Thing]:
        wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
        every = list(self.things[resource].values())
        return [t for t in every if wanted.items() <= t["metadata"].get("labels", {}).items()]

    def delete(self, resource: str, name: str, options: Thing) -> Thing:
        with self.lock:
            thing = self.get(resource, name)
            for key, wanted in (options.get("preconditions") or {}).items():
                if thing["metadata"][key] != wanted:
                    raise conflict(resource, name, f"the {key} in the precondition differs")
            if resource == "pods":
                self._delete_pod(thing, options.get("gracePeriodSeconds"))
            elif resource == "jobs" and options.get("propagationPolicy") == "Foreground":
                self._mark_deleted(thing, 0)
                self._each_pod(thing, self._delete_pod)
                self._collect(thing)
            else:
                self._remove(resource, thing)
            return thing

    # What a test or the kubelet tells of pods.

    def pods(self, job: str | None = None) -> list[Thing]:
        """The pods, of one Job or all, by name."""
        found = (p for p in self.things["pods"].values() if job in (None, _job_of(p)))
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def start(self, name: str) -> None:
        """The container runs."""
        self._set(name, "Running", {"running": {"startedAt": _now()}})

    def wait(self, name: str, reason: str, message: str = "") -> None:
        """The container cannot start yet, e.g. ImagePullBackOff."""
        self._set(name, "Pending", {"waiting": {"reason": reason, "message": message}})

    def unschedulable(self, name: str, message: str) -> None:
        """No node takes the pod."""
        with self.lock:
            said = {"reason": "Unschedulable", "message": message}
            self._condition(self.get("pods", name), "PodScheduled", "False", **said)

    def finish(self, name: str, code: int, reason: str | None = None) -> None:
        """The container has ended; a pod that was deleted goes."""
        with self.lock:
            said = reason or ("Completed" if code == 0 else "Error")
            ended = {"exitCode": code, "reason": said, "finishedAt": _now()}
            self._set(name, "Failed" if code else "Succeeded", {"terminated": ended})
            pod = self.get("pods", name)
            if "deletionTimestamp" in pod["metadata"]:
                self._remove("pods", pod)
            self._sync(pod)

    def disrupt(self, name: str, reason: str, message: str, code: int | None = 137) -> None:
        """The machine is taken away; None: it does not even say how the container ended."""
        with self.lock:
            pod = self.get("pods", name)
            self._condition(pod, "DisruptionTarget", "True", reason=reason, message=message)
            if code is None:
                self._mark_deleted(pod, 30)
            else:
                self.finish(name, code)

    def evict_for_disk(self, name: str) -> None:
        """The pod has filled its own disk."""
        with self.lock:
            status = self.get("pods", name)["status"]
            status["reason"] = "Evicted"
            status["message"] = 'Usage of EmptyDir volume "tmp" exceeds the limit "10G". '
            self.finish(name, 137)

    def expire(self, job: str) -> None:
        """The Job was active for too long: its pods go, it has failed."""
        with self.lock:
            thing = self.get("jobs", job)
            self._each_pod(thing, lambda pod: self._remove("pods", pod))
            said = "Job was active longer than specified deadline"
            self._condition(thing, "Failed", "True", reason="DeadlineExceeded", message=said)

    # The controllers.

    def _make_pods(self, job: Thing) -> None:
        nodes = job["spec"].get("completions", 1)
        indexed = job["spec"].get("completionMode") == "Indexed"
        for index in range(nodes):
            pod = self._keep("pods", _pod_of(job, index if indexed else None))
            if self.kubelet:
                self.kubelet.run(pod)

    def _sync(self, pod: Thing) -> None:
        """The Job's part after a pod has ended."""
        job = self.things["jobs"].get(_job_of(pod) or "")
        if job is None:
            return
        if "deletionTimestamp" in job["metadata"]:
            self._collect(job)
        elif pod["status"]["phase"] == "Failed" or _has(job, "FailureTarget"):
            self._fail(job, pod)
        elif all(p["status"]["phase"] == "Succeeded" for p in self.pods(_job_of(pod))):
            self._condition(job, "SuccessCriteriaMet", "True", reason="CompletionsReached")
            self._condition(job, "Complete", "True", reason="CompletionsReached")

    def _fail(self, job: Thing, pod: Thing) -> None:
        name = pod["metadata"]["name"]
        reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if _is_disrupted(pod):
            what = f"Pod {self.namespace}/{name} has condition DisruptionTarget"
            reason, message = "PodFailurePolicy", f"{what} matching FailJob rule at index 0"
        reason, message = _has(job, "FailureTarget") or (reason, message)
        self._condition(job, "FailureTarget", "True", reason=reason, message=message)
        others = [p for p in self.pods(job["metadata"]["name"]) if not _has_ended(p)]
        for other in others:
            self._delete_pod(other)
        if not others:
            self._condition(job, "Failed", "True", reason=reason, message=message)

    def _delete_pod(self, pod: Thing, grace_s: int | None = None) -> None:
        name = pod["metadata"]["name"]
        usual = pod["spec"]["terminationGracePeriodSeconds"]
        grace_s = usual if grace_s is None else grace_s
        if self.kubelet:
            self.kubelet.stop(name, grace_s)
        if grace_s == 0 or _has_ended(pod):
            self._remove("pods", pod)
        else:
            self._mark_deleted(pod, grace_s)

    def _collect(self, job: Thing) -> None:
        """A Job that is deleted in the foreground goes after its last pod."""
        if not self.pods(job["metadata"]["name"]):
            self._remove("jobs", job)

    def _remove(self, resource: str, thing: Thing) -> None:
        self.things[resource].pop(thing["metadata"]["name"], None)
        if resource == "jobs":
            self._each_pod(thing, self._delete_pod)
            for service in list(self.things["services"].values()):
                owners = service["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == thing["metadata"]["uid"] for owner in owners):
                    self._remove("services", service)

    def _each_pod(self, job: Thing, act: Any) -> None:
        for pod in self.pods(job["metadata"]["name"]):
            act(pod)

    # Small writes, each a new version.

    def _keep(self, resource: str, thing: Thing) -> Thing:
        metadata = thing["metadata"]
        metadata |= {"namespace": self.namespace, "uid": str(uuid4()), "creationTimestamp": _now()}
        thing.setdefault("status", {})
        self.things[resource][metadata["name"]] = thing
        return self._touched(thing)

    def _touched(self, thing: Thing) -> Thing:
        self._version += 1
        thing["metadata"]["resourceVersion"] = str(self._version)
        return thing

    def _mark_deleted(self, thing: Thing, grace_s: float) -> None:
        thing["metadata"].setdefault("deletionTimestamp", _now(grace_s))
        self._touched(thing)

    def _set(self, name: str, phase: str, state: Thing) -> None:
        with self.lock:
            pod = self.get("pods", name)
            pod["status"]["phase"] = phase
            pod["status"]["containerStatuses"] = [{"name": "trainer", "state": state}]
            self._touched(pod)

    def _condition(self, thing: Thing, type_: str, status: str, **said: str) -> None:
        conditions = thing["status"].setdefault("conditions", [])
        conditions[:] = [c for c in conditions if c["type"] != type_]
        conditions.append({"type": type_, "status": status, **said})
        self._touched(thing)


def _pod_of(job: Thing, index: int | None) -> Thing:
    name = job["metadata"]["name"]
    template = deepcopy(job["spec"]["template"])
    metadata, spec = template["metadata"], template["spec"]
    metadata["name"] = f"{name}-{uuid4().hex[:5]}" if index is None else f"{name}-{index}-x1y2z"
    metadata["labels"]["batch.kubernetes.io/job-name"] = name
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": True}
    metadata["ownerReferences"] = [owner | {"uid": job["metadata"]["uid"]}]
    if index is not None:
        metadata["annotations"] = {INDEX: str(index)}
        spec["hostname"] = f"{name}-{index}"
    return {"apiVersion": "v1", "kind": "Pod", **template, "status": {"phase": "Pending"}}


def _job_of(pod: Thing) -> str | None:
    found: str | None = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name")
    return found


def _has_ended(pod: Thing) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def _is_disrupted(pod: Thing) -> bool:
    return any(c["type"] == "DisruptionTarget" for c in pod["status"].get("conditions", ()))


def _has(job: Thing, type_: str) -> tuple[str, str] | None:
    for condition in job["status"].get("conditions", ()):
        if condition["type"] == type_:
            return condition["reason"], condition["message"]
    return None


def _now(later_s: float = 0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=later_s)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
