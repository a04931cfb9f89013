"""What of the service's environment travels to a trainer on another machine."""

import re
from collections.abc import Mapping

from service.jobs.resources import WAITING_THREADS

_SENT = frozenset({"LANG", "TZ", "HF_HOME"})
_SENT_PREFIXES = ("LC_", "OMP_", "GOMP_", "KMP_", "MKL_", "NCCL_", "PYTORCH_", "MLFLOW_", "WANDB_")
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL")


def environment_elsewhere(outer: Mapping[str, str]) -> dict[str, str]:
    """Locale and compute settings; not this machine's paths, users and GPUs, and no secrets.

    A cluster shows a job's variables to everyone who may look at the job: keys for integrations are
    set on its nodes.
    """
    sent = {k: v for k, v in outer.items() if k in _SENT or k.startswith(_SENT_PREFIXES)}
    kept = {k: v for k, v in sent.items() if not _SECRET.search(k)}
    fixed = {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    return WAITING_THREADS | kept | fixed
