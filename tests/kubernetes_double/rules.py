"""What the API server refuses: the published schemas, strictly, and rules that no schema says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes_validate import ValidationError, validate

VERSION = "1.37"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUANTITY = re.compile(r"\d+(\.\d+)?([numkMGTPE]|[KMGTPE]i)?")


def problems(thing: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with an object; empty if it would be taken."""
    try:
        validate(dict(thing), VERSION, strict=True)
    except ValidationError as error:
        return [f"{'.'.join(str(p) for p in error.path)}: {error.message}"]
    found = list(_metadata(thing["metadata"]))
    return [*found, *_job(thing["spec"])] if thing["kind"] == "Job" else found


def _metadata(metadata: Mapping[str, Any]) -> Iterator[str]:
    # A Job's name is part of its pods' host names, so it is held to the stricter rule.
    if not _LABEL.fullmatch(metadata["name"]):
        yield f"metadata.name: {metadata['name']!r} is not a DNS label"
    for key, value in (metadata.get("labels") or {}).items():
        if not _VALUE.fullmatch(value):
            yield f"metadata.labels.{key}: {value!r} is not a label's value"


def _job(spec: Mapping[str, Any]) -> Iterator[str]:
    pod = spec["template"]["spec"]
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        yield "spec.template.spec.restartPolicy: Never or OnFailure"
    if "podFailurePolicy" in spec:
        if pod["restartPolicy"] != "Never":
            yield "spec.podFailurePolicy: needs restartPolicy Never"
        if spec.get("podReplacementPolicy", "Failed") != "Failed":
            yield "spec.podReplacementPolicy: Failed, with a podFailurePolicy"
    if spec.get("completionMode") == "Indexed" and "completions" not in spec:
        yield "spec.completions: required with completionMode Indexed"
    yield from _pod(pod)


def _pod(pod: Mapping[str, Any]) -> Iterator[str]:
    volumes = [volume["name"] for volume in pod.get("volumes", ())]
    if len(set(volumes)) != len(volumes):
        yield "volumes: a name twice"
    for container in pod["containers"]:
        mounts = container.get("volumeMounts", ())
        if unknown := {m["name"] for m in mounts} - set(volumes):
            yield f"volumeMounts: no such volume: {sorted(unknown)}"
        if len({m["mountPath"] for m in mounts}) != len(mounts):
            yield "volumeMounts.mountPath: a path twice"
        yield from _amounts(container["resources"])
    for volume in pod.get("volumes", ()):
        size = volume.get("emptyDir", {}).get("sizeLimit", "1")
        if not _QUANTITY.fullmatch(size):
            yield f"volumes.emptyDir.sizeLimit: {size!r}"


def _amounts(resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for kind in ("requests", "limits"):
        for name, amount in resources.get(kind, {}).items():
            if not _QUANTITY.fullmatch(amount):
                yield f"resources.{kind}.{name}: {amount!r} is not a quantity"
            extended = "/" in name
            if extended and resources.get("limits", {}).get(name) != amount:
                yield f"resources.limits.{name}: must equal the request"
