"""How the objects of a launch are marked, and recognised as ours."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from service.jobs.launchers.base import Placement

JOB_LABEL = "verisql/job"
ATTEMPT_LABEL = "verisql/attempt"
RUN_HASH = "verisql/run-sha256"
CONTAINER = "trainer"
_OURS = {"app.kubernetes.io/managed-by": "verisql", "app.kubernetes.io/component": "trainer"}


def labels_of(placement: Placement) -> dict[str, str]:
    """What every object of a launch carries."""
    which = {JOB_LABEL: placement.job_id, ATTEMPT_LABEL: str(placement.attempt)}
    return {"app.kubernetes.io/name": "verisql"} | _OURS | which


def selector_of(placement: Placement) -> str:
    """The label selector of a launch's pods."""
    which = {JOB_LABEL: placement.job_id, ATTEMPT_LABEL: str(placement.attempt)}
    return ",".join(f"{key}={value}" for key, value in (_OURS | which).items())


def run_hash(placement: Placement) -> str:
    """SHA-256 of what is run; settings are not in it, since they may change between two submits."""
    what = [placement.job_id, placement.attempt, str(placement.run_dir)]
    text = json.dumps([*what, placement.resources.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_ours(found: Mapping[str, Any], placement: Placement) -> bool:
    """True if an object with our name is this very launch and nobody else's."""
    metadata = found.get("metadata", {})
    labels = metadata.get("labels") or {}
    noted = (metadata.get("annotations") or {}).get(RUN_HASH)
    return labels_of(placement).items() <= labels.items() and noted == run_hash(placement)
