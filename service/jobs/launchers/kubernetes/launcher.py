"""The launcher contract over a Kubernetes cluster.

How a run is found again: its Job has a name that follows from job id and attempt, so the API server
itself lets no second one be made. The Job is made before the Service of several nodes, which it
owns, so that whatever removes the Job removes both; a launch that died between the two is absent
until a repeated submit completes it.

`cancel` deletes the Job in the foreground: it stays visible until its pods have ended in their
grace. With force the pods are removed at once. A Job that has ended is left to the cluster, which
removes it after VERISQL_KUBERNETES_KEEP_S: until then its logs can be read. That a launch took
place is also noted in the run's folder: a Job that is gone differs from one that never was.
"""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from service.errors import LauncherRefused
from service.jobs.launchers.base import Handle, Placement, Probe
from service.jobs.launchers.kubernetes.client import KubernetesClient
from service.jobs.launchers.kubernetes.labels import CONTAINER, is_ours, selector_of
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.launchers.kubernetes.render import TRAINER, render
from service.jobs.launchers.kubernetes.seen import seen, telling_pod
from service.jobs.rundir import RunDir

_FOUND, _MADE_BEFORE, _GONE = 200, 409, 404
_LINE_BYTES = 80
_LONGEST_LINES = 16


class KubernetesLauncher:
    """The contract of base.py in a namespace of a cluster.

    `command` is what a pod runs, with `--run-dir DIR` appended; `grace_s` are the seconds between
    SIGTERM and SIGKILL when a run is cancelled.
    """

    def __init__(
        self,
        options: KubernetesOptions,
        *,
        grace_s: float = 20.0,
        command: Sequence[str] = TRAINER,
    ) -> None:
        self._options = options
        self._grace_s = grace_s
        self._command = tuple(command)
        self._client = KubernetesClient(options)
        self._looks: dict[str, tuple[float, Probe]] = {}
        batch, core = "/apis/batch/v1/namespaces", "/api/v1/namespaces"
        self._jobs = f"{batch}/{options.namespace}/jobs"
        self._pods = f"{core}/{options.namespace}/pods"
        self._services = f"{core}/{options.namespace}/services"

    async def submit(self, placement: Placement) -> Handle | None:
        """Make the Job; raises Unavailable, LauncherRefused, UnsupportedValue."""
        self._looks.pop(placement.launch_name, None)
        return await self._client.run(partial(self._submit, placement))

    async def poll(self, placement: Placement, handle: Handle | None) -> Probe:
        """Look at the Job and its pods, or remember the last look if it is young."""
        name, now = placement.launch_name, time.monotonic()
        last = self._looks.get(name)
        if _own(placement, handle) and last and now < last[0] + self._options.poll_s:
            return last[1]
        probe = await self._client.run(partial(self._poll, placement, handle))
        self._looks[name] = (now, probe)
        if probe.state in ("absent", "exited"):
            del self._looks[name]
        return probe

    async def cancel(self, placement: Placement, handle: Handle | None, *, force: bool) -> None:
        """Delete the Job: its pods get SIGTERM and their grace, with `force` neither."""
        del handle
        self._looks.pop(placement.launch_name, None)
        await self._client.run(partial(self._cancel, placement, force))

    async def logs(self, placement: Placement, handle: Handle | None, *, max_bytes: int) -> str:
        """The end of the output of the pod that failed, else of node 0; else of trainer.log."""
        del handle
        return await self._client.run(partial(self._logs, placement, max_bytes))

    def _submit(self, placement: Placement) -> Handle:
        run = RunDir(placement.run_dir)
        deadline_s = run.request().spec.deadline_s if run.exists() else None
        rendered = render(
            placement,
            self._options,
            command=self._command,
            deadline_s=deadline_s,
            grace_s=self._grace_s,
        )
        job = self._make(self._jobs, rendered.job, placement)
        if rendered.service:
            owned = rendered.service["metadata"] | {"ownerReferences": [_owner(job)]}
            self._make(self._services, rendered.service | {"metadata": owned}, placement)
        handle = _handle(job)
        _note(placement, handle)
        return handle

    def _make(self, path: str, thing: dict[str, Any], placement: Placement) -> dict[str, Any]:
        """Create it, or find that an earlier submit did."""
        answer = self._client.request("POST", path, body=thing, allow=(_MADE_BEFORE,))
        if answer.status != _MADE_BEFORE:
            return answer.object
        found = self._client.request("GET", f"{path}/{placement.launch_name}").object
        if not is_ours(found, placement):
            raise LauncherRefused(
                f"namespace {self._options.namespace} has another {thing['kind']} of the name "
                f"{placement.launch_name}: delete it, or use another namespace"
            )
        return found

    def _poll(self, placement: Placement, handle: Handle | None) -> Probe:
        known = _own(placement, handle) or _noted(placement)
        job = self._job(placement)
        if job is None or not is_ours(job, placement):
            gone = Probe("exited", None, known, reason="its Job is gone")
            return gone if known else Probe("absent")
        if known is None and placement.resources.nodes > 1 and not self._is_named(placement):
            return Probe("absent")
        return seen(job, self._pods_of(placement), _handle(job), now=time.time())

    def _is_named(self, placement: Placement) -> bool:
        path = f"{self._services}/{placement.launch_name}"
        return self._client.request("GET", path, allow=(_GONE,)).status == _FOUND

    def _cancel(self, placement: Placement, force: bool) -> None:
        job = self._job(placement)
        if job is not None and (not is_ours(job, placement) or _has_ended(job)):
            return
        if job is not None:
            _note(placement, _handle(job))
            path = f"{self._jobs}/{placement.launch_name}"
            how = _options(
                propagationPolicy="Background" if force else "Foreground",
                preconditions={"uid": job["metadata"]["uid"]},
            )
            self._client.request("DELETE", path, body=how, allow=(_GONE,))
        if force:
            query: dict[str, str | int] = {"labelSelector": selector_of(placement)}
            at_once = _options(gracePeriodSeconds=0)
            self._client.request("DELETE", self._pods, query=query, body=at_once)

    def _logs(self, placement: Placement, max_bytes: int) -> str:
        pod = telling_pod(self._pods_of(placement))
        if pod is None:
            return RunDir(placement.run_dir).log_tail(max_bytes)
        query: dict[str, str | int] = {
            "container": CONTAINER,
            "tailLines": max_bytes // _LINE_BYTES + 1,
            # Counted from the first of those lines on.
            "limitBytes": max_bytes * _LONGEST_LINES,
        }
        # 400: its container has not started.
        path = f"{self._pods}/{pod['metadata']['name']}/log"
        answer = self._client.request("GET", path, query=query, allow=(400, _GONE))
        text = answer.body if answer.status == _FOUND else b""
        return text[-max_bytes:].decode(errors="ignore").strip()

    def _job(self, placement: Placement) -> dict[str, Any] | None:
        path = f"{self._jobs}/{placement.launch_name}"
        answer = self._client.request("GET", path, allow=(_GONE,))
        return None if answer.status == _GONE else answer.object

    def _pods_of(self, placement: Placement) -> list[dict[str, Any]]:
        query: dict[str, str | int] = {"labelSelector": selector_of(placement)}
        pods: list[dict[str, Any]] = self._client.request("GET", self._pods, query=query).object[
            "items"
        ]
        return pods


def _handle(job: dict[str, Any]) -> Handle:
    metadata = job["metadata"]
    return {key: metadata[key] for key in ("namespace", "name", "uid")}


def _own(placement: Placement, handle: Handle | None) -> Handle | None:
    """The handle, if it is of this attempt."""
    return handle if handle and handle.get("name") == placement.launch_name else None


def _noted(placement: Placement) -> Handle | None:
    try:
        noted: Handle = json.loads(_note_path(placement).read_bytes())
    except (OSError, ValueError):
        return None
    return _own(placement, noted)


def _note(placement: Placement, handle: Handle) -> None:
    # Needed only if the store has lost the handle as well: a full disk is no reason to fail.
    temporary = _note_path(placement).with_suffix(f".tmp{threading.get_ident()}")
    with suppress(OSError):
        temporary.write_text(json.dumps(handle))
        temporary.replace(_note_path(placement))


def _note_path(placement: Placement) -> Path:
    return placement.run_dir / f"kubernetes-{placement.attempt}.json"


def _owner(job: dict[str, Any]) -> dict[str, str]:
    metadata = job["metadata"]
    kind = {"apiVersion": "batch/v1", "kind": "Job"}
    return kind | {"name": metadata["name"], "uid": metadata["uid"]}


def _has_ended(job: dict[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _options(**chosen: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "DeleteOptions"} | chosen
