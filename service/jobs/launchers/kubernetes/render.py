"""From a run to the objects of the cluster: a Job, and for several nodes the name they share. Pure.

One node is a Job of one pod. Several are an Indexed Job: pod N is node N and is reached at
NAME-N.NAME through a headless Service, so that every node finds node 0. A pod that fails ends the
Job: what is tried again, and when, is for the supervisor to say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import UnsupportedValue
from service.jobs.launchers.base import Placement
from service.jobs.launchers.kubernetes.labels import RUN_HASH, labels_of, run_hash
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.launchers.kubernetes.pod import Manifest, pod_template

TRAINER = ("python", "-P", "-m", "trainer.scale")
LATE_S = 60
"""How long after deadline and grace the cluster ends a run by itself."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """What is created, in this order."""

    job: Manifest
    service: Manifest | None
    """Only where there are several nodes."""


def render(
    placement: Placement,
    options: KubernetesOptions,
    *,
    command: Sequence[str] = TRAINER,
    deadline_s: float | None = None,
    grace_s: float = 20.0,
) -> Manifests:
    """The manifests of one launch.

    `grace_s` are the seconds between SIGTERM and SIGKILL. The supervisor ends a run at its deadline
    so that it can save; the cluster does only if there is no supervisor. Raises LauncherRefused if
    no volume holds the run, UnsupportedValue for a node that serves vLLM.
    """
    if placement.resources.vllm.nodes:
        raise UnsupportedValue(
            f"vllm.nodes={placement.resources.vllm.nodes}: in Kubernetes the serving node's "
            "address is not known beforehand; run vLLM as a Deployment of its own, name it in "
            "vllm.server_url, and set vllm.nodes to 0",
            param="resources.vllm.nodes",
        )
    template = pod_template(placement, options, command, grace_s)
    job = _job(placement, options, template, deadline_s, grace_s)
    return Manifests(job, _service(placement, options))


def _job(
    placement: Placement,
    options: KubernetesOptions,
    template: Manifest,
    deadline_s: float | None,
    grace_s: float,
) -> Manifest:
    spec: Manifest = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": options.keep_s,
        "podReplacementPolicy": "Failed",
        # Without it the cluster would replace a pod whose node was taken away; with it the Job's
        # own condition says so, also when the pod can no longer be asked.
        "podFailurePolicy": {
            "rules": [{"action": "FailJob", "onPodConditions": [_DISRUPTED]}],
        },
        "template": template,
    }
    if deadline_s is not None:
        spec["activeDeadlineSeconds"] = math.ceil(deadline_s + grace_s) + LATE_S
    if (nodes := placement.resources.nodes) > 1:
        spec |= {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(placement, options.namespace),
        "spec": spec,
    }


_DISRUPTED = {"type": "DisruptionTarget", "status": "True"}


def _service(placement: Placement, options: KubernetesOptions) -> Manifest | None:
    if placement.resources.nodes == 1:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(placement, options.namespace),
        "spec": {
            "clusterIP": "None",
            # The nodes look for each other while none is ready yet.
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": placement.launch_name},
        },
    }


def _metadata(placement: Placement, namespace: str) -> Manifest:
    return {
        "name": placement.launch_name,
        "namespace": namespace,
        "labels": labels_of(placement),
        "annotations": {RUN_HASH: run_hash(placement)},
    }
