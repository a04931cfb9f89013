"""What the manifest of each checkpoint of a training stage says."""

from service.jobs.spec import RunRequest
from service.text2sql.layouts import Split
from trainer.checkpoint import CheckpointKeeper, weights_sha256
from trainer.context import Context
from trainer.data_files import data_path, file_hashes
from trainer.dataset import Prepared
from trainer.versions import versions


def keeper(context: Context, stage: str, data: Prepared) -> CheckpointKeeper:
    """Of a training stage, with what each of its checkpoints' manifests says."""
    request, parent = context.request, context.policy.parent
    about = {
        "job_id": request.job_id,
        "stage": stage,
        "base_model": context.policy.base_model,
        "base_weights_sha256": weights_sha256(context.policy.base_model_path),
        "parent_checkpoint": context.policy.checkpoint,
        "parent_weights_sha256": parent and weights_sha256(parent),
        "prompt_templates": dict(data.templates),
        "verifier_version": context.judge.version,
        "seed": request.spec.seed,
        "train_data": _hashes(request, "train"),
        "dev_data": _hashes(request, "dev"),
        "packages": versions(),
    }
    keep = context.settings.keep_checkpoints
    return CheckpointKeeper(context.run, about, offset=context.steps, keep=keep)


def _hashes(request: RunRequest, split: Split) -> dict[str, str] | None:
    """SHA-256 of the files that the questions come from; None without such a split."""
    path = data_path(request, split)
    return dict(file_hashes(path, split)) if path else None
