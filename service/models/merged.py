"""A tuned model's folder: its base with the adapter added to the weights, made once.

A server multiplies the matrices of an adapter beside the base for every token; merged, a tuned
model costs what its base costs. <models_dir>/NAME@<12 of the base>@<12 of the adapter>/
"""

from pathlib import Path

from service.errors import ModelUnavailable, NoDiskSpace
from service.models import cache
from service.models.cache import folder_bytes
from service.models.sources import Caller, SourceFailed
from service.models.tuned import TunedModel


def find_merged(tuned: TunedModel, models_dir: Path) -> Path | None:
    """The folder if it is complete."""
    return cache.find(models_dir, _key(tuned), tuned.adapter_sha256)


def make_merged(
    tuned: TunedModel, base: Path, shipped: Path, models_dir: Path, caller: Caller
) -> Path:
    """Merge, whole or not at all, one process at a time.

    Raises ModelUnavailable, also for a base with other weights; NoDiskSpace, Stopped.
    """
    try:
        return _make(tuned, base, shipped, models_dir, caller)
    except (SourceFailed, OSError) as error:
        reason = f"{tuned.name} cannot be made: {error}"
        if "No space left on device" in reason:
            raise NoDiskSpace(reason) from error
        raise ModelUnavailable(
            f"{reason}. VERISQL_MODEL={tuned.base_model} serves its base model", param="model"
        ) from error


def _make(tuned: TunedModel, base: Path, shipped: Path, models_dir: Path, caller: Caller) -> Path:
    with cache.workshop(models_dir, _key(tuned), caller.say, caller.stop) as scratch:
        # Another process may have made it while this one waited for the lock.
        if ready := find_merged(tuned, models_dir):
            return ready
        size = folder_bytes(base)
        cache.require_space(scratch, int(size * 1.01), caller.free_bytes)
        caller.say(f"adding the adapter {tuned.adapter} to the weights of {tuned.base_model}")
        made = scratch / "model"
        caller.run(
            "service.models.merge",
            *(str(base), tuned.base_tensors_sha256),
            *(str(shipped / tuned.name), tuned.adapter_sha256, str(made)),
            env={},
            tick=caller.say_size(made, size),
        )
        folder = cache.publish(made, models_dir, _key(tuned), tuned.adapter_sha256)
        caller.say(f"{tuned.name} is ready in {folder}")
        return folder


def _key(tuned: TunedModel) -> str:
    return cache.folder_of(Path(), tuned.name, tuned.base_revision).name
