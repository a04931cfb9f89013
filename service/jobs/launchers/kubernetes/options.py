"""The settings VERISQL_KUBERNETES_*, and how their small lists are written."""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class Volume(NamedTuple):
    """A claim and where it is mounted."""

    claim: str
    path: str
    read_only: bool


class KubernetesOptions(BaseModel):
    """Where and how the cluster runs trainers. Without an image there is no such launcher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Annotated[
        str | None,
        Field(description="Image with VeriSQL's trainer; turns the launcher `kubernetes` on."),
    ] = None
    namespace: Annotated[str, Field(description="Namespace of the Jobs.")] = "verisql"
    config: Annotated[
        Path | None,
        Field(description="A kubeconfig; default the pod's own account, else kubectl's file."),
    ] = None
    context: Annotated[
        str | None, Field(description="Context of the kubeconfig; default its current one.")
    ] = None
    volumes: Annotated[
        str,
        Field(
            description="`claim:/path` or `claim:/path:ro`, comma separated; one holds the home."
        ),
    ] = ""
    node_selector: Annotated[
        str, Field(description="Labels of the nodes to use: `key=value`, comma separated.")
    ] = ""
    tolerations: Annotated[
        str, Field(description="Taints to tolerate: `key[=value][:Effect]`, comma separated.")
    ] = ""
    gpu_resource: Annotated[str, Field(description="The resource that a GPU is.")] = (
        "nvidia.com/gpu"
    )
    user_id: Annotated[
        int, Field(ge=1, le=2**31 - 1, description="User and group of the trainers.")
    ] = 1000
    tmp_gb: Annotated[
        float, Field(gt=0, le=65_536, description="Size of a trainer's `/tmp`, GB.")
    ] = 10.0
    pull_secret: Annotated[str | None, Field(description="Secret for a private registry.")] = None
    env_secret: Annotated[
        str | None,
        Field(description="Secret whose keys become trainers' variables, e.g. for MLflow."),
    ] = None
    service_account: Annotated[
        str | None, Field(description="Account of the trainers; it needs no rights.")
    ] = None
    priority_class: Annotated[str | None, Field(description="Priority class of the trainers.")] = (
        None
    )
    keep_s: Annotated[
        int, Field(ge=0, le=90 * 86_400, description="An ended Job and its logs stay, seconds.")
    ] = 86_400
    timeout_s: Annotated[
        float, Field(gt=0, le=300, description="Longest talk with the API server, seconds.")
    ] = 10.0
    poll_s: Annotated[
        float, Field(ge=0, le=60, description="Least pause between two looks at one Job, seconds.")
    ] = 2.0

    @model_validator(mode="after")
    def _readable(self) -> "KubernetesOptions":
        _ = self.volume_list, self.node_labels, self.toleration_list
        if not _NAME.fullmatch(self.namespace) or "." in self.namespace:
            raise ValueError(f"NAMESPACE={self.namespace}: a namespace is named like `verisql`")
        return self

    @property
    def volume_list(self) -> list[Volume]:
        """The claims of VOLUMES; raises ValueError."""
        return [_volume(text) for text in _listed(self.volumes)]

    @property
    def node_labels(self) -> dict[str, str]:
        """The labels of NODE_SELECTOR; raises ValueError."""
        pairs = [text.partition("=") for text in _listed(self.node_selector)]
        if wrong := ["".join(pair) for pair in pairs if not (pair[0] and pair[1])]:
            raise ValueError(f"NODE_SELECTOR: {wrong[0]!r} is not `key=value`")
        return {key: value for key, _, value in pairs}

    @property
    def toleration_list(self) -> list[dict[str, str]]:
        """The tolerations of TOLERATIONS as Kubernetes has them; raises ValueError."""
        return [_toleration(text) for text in _listed(self.tolerations)]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _volume(text: str) -> Volume:
    claim, _, rest = text.partition(":")
    path, _, mode = rest.partition(":")
    clean = path.startswith("/") and path.strip("/") and ".." not in path.split("/")
    if not (_NAME.fullmatch(claim) and clean and mode in ("", "ro")):
        raise ValueError(f"VOLUMES: {text!r} is not `claim:/path` or `claim:/path:ro`")
    return Volume(claim, path.rstrip("/"), mode == "ro")


def _toleration(text: str) -> dict[str, str]:
    taint, _, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not key or effect not in ("", *_EFFECTS):
        raise ValueError(
            f"TOLERATIONS: {text!r} is not `key[=value][:Effect]`, with one of {_EFFECTS}"
        )
    matching = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **matching} | ({"effect": effect} if effect else {})
