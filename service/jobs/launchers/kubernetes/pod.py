"""The pod of a trainer: what it runs, asks for, mounts and may do. Pure."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.errors import LauncherRefused
from service.jobs.launchers.base import Placement
from service.jobs.launchers.kubernetes.labels import CONTAINER, labels_of
from service.jobs.launchers.kubernetes.options import KubernetesOptions, Volume
from service.jobs.resources import Resources
from service.jobs.rundir import RunDir

Manifest = dict[str, Any]

_ATTEND = ("python", "-P", "-m", "service.jobs.launchers.kubernetes.attend")
_RANK = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_FIXED = {
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod's own.
    # Some libraries ask who they are; the image need not know the number.
    "USER": "verisql",
}


def pod_template(
    placement: Placement, options: KubernetesOptions, command: Sequence[str], grace_s: float
) -> Manifest:
    """The pod template of the Job; raises LauncherRefused if no volume holds the run."""
    mounts = volumes_for(placement.run_dir, options)
    spec: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": math.ceil(grace_s),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(options.user_id),
        "containers": [_container(placement, options, command, mounts)],
        "volumes": _volumes(placement.resources, options, mounts),
    }
    if placement.resources.nodes > 1:
        spec["subdomain"] = placement.launch_name
    return {"metadata": {"labels": labels_of(placement)}, "spec": spec | _where(options)}


def volumes_for(run_dir: Path, options: KubernetesOptions) -> list[Volume]:
    """The claims to mount; raises LauncherRefused if none holds the run's folder for writing."""
    mounts = options.volume_list
    homes = [m for m in mounts if not m.read_only and run_dir.is_relative_to(m.path)]
    if not homes:
        raise LauncherRefused(
            f"no claim of VERISQL_KUBERNETES_VOLUMES={options.volumes or '(unset)'} is mounted for "
            f"writing at or above {run_dir}: name the one that holds VERISQL_HOME, like "
            f"verisql-home:{run_dir.parents[1]}"
        )
    return mounts


def _container(
    placement: Placement,
    options: KubernetesOptions,
    command: Sequence[str],
    mounts: Sequence[Volume],
) -> Manifest:
    several = placement.resources.nodes > 1
    variables: list[Manifest] = [{"name": k, "value": v} for k, v in _FIXED.items()]
    if several:
        variables.append({"name": "NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": _RANK}}})
    amount = _amounts(placement.resources, options.gpu_resource)
    container: Manifest = {
        "name": CONTAINER,
        "image": options.image,
        "command": [*_ATTEND, "--log", str(RunDir(placement.run_dir).log_path)],
        "args": _arguments(placement, command, several),
        "workingDir": str(placement.run_dir),
        "env": variables,
        "resources": {"requests": amount, "limits": amount},
        "securityContext": _SECURITY,
        "volumeMounts": _volume_mounts(mounts),
    }
    if options.env_secret:
        container["envFrom"] = [{"secretRef": {"name": options.env_secret}}]
    return container


def _arguments(placement: Placement, command: Sequence[str], several: bool) -> list[str]:
    main = f"{placement.launch_name}-0.{placement.launch_name}"
    silent = ["--rank", "$(NODE_RANK)"] if several else []
    part = ["--node-rank", "$(NODE_RANK)", "--main-address", main] if several else []
    return [*silent, "--", *command, "--run-dir", str(placement.run_dir), *part]


def _amounts(asked: Resources, gpu_resource: str) -> dict[str, str]:
    """Requests equal limits: such a pod is the last to be evicted when its node runs short."""
    amount = {"cpu": str(asked.cpus), "memory": f"{asked.memory_gb:g}G"}
    return amount | ({gpu_resource: str(asked.gpus_per_node)} if asked.gpus_per_node else {})


_SECURITY: Manifest = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _pod_security(user_id: int) -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": user_id,
        "runAsGroup": user_id,
        "fsGroup": user_id,
        # A large volume is not walked through at every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _volume_mounts(mounts: Sequence[Volume]) -> list[Manifest]:
    own = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108
    return [*own, *(_mount(number, volume) for number, volume in enumerate(mounts))]


def _mount(number: int, volume: Volume) -> Manifest:
    mount: Manifest = {"name": f"volume-{number}", "mountPath": volume.path}
    return mount | ({"readOnly": True} if volume.read_only else {})


def _volumes(
    asked: Resources, options: KubernetesOptions, mounts: Sequence[Volume]
) -> list[Manifest]:
    # Memory that NCCL and data loaders share is the container's own: half of it, as Linux does.
    shared = {"medium": "Memory", "sizeLimit": f"{asked.memory_gb / 2:g}G"}
    own: list[Manifest] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": f"{options.tmp_gb:g}G"}},
        {"name": "shm", "emptyDir": shared},
    ]
    return [*own, *(_claim(number, volume) for number, volume in enumerate(mounts))]


def _claim(number: int, volume: Volume) -> Manifest:
    claim: Manifest = {"claimName": volume.claim}
    if volume.read_only:
        claim["readOnly"] = True
    return {"name": f"volume-{number}", "persistentVolumeClaim": claim}


def _where(options: KubernetesOptions) -> Manifest:
    secrets = [{"name": options.pull_secret}] if options.pull_secret else None
    asked: Manifest = {
        "nodeSelector": options.node_labels,
        "tolerations": options.toleration_list,
        "imagePullSecrets": secrets,
        "serviceAccountName": options.service_account,
        "priorityClassName": options.priority_class,
    }
    return {key: value for key, value in asked.items() if value}
