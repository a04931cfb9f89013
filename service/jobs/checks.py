"""Everything that can be known to stop a job before anything is spent on it."""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.errors import InvalidRequest, ModelUnavailable, NoDiskSpace, UnsupportedValue
from service.jobs.datasets import dataset_db_ids, find_dataset
from service.jobs.resources import Resources
from service.jobs.spec import JobSpec
from service.models.registry import check_model
from service.text2sql.databases import DatabaseRegistry

TRAINER_PACKAGES = ("torch", "trl", "peft")
MIN_FREE_BYTES = 1024**3
_NAMED = 3  # missing databases that the message lists


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has."""

    cpus: int
    memory_gb: float
    gpus: int

    @classmethod
    def here(cls) -> "Machine":
        """Look; a GPU is seen by its device file, or by the driver's tool."""
        gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
        if not gpus and shutil.which("nvidia-smi"):
            gpus = 1
        return cls(os.cpu_count() or 1, psutil.virtual_memory().total / 1024**3, gpus)


@dataclass(frozen=True, slots=True)
class Checks:
    """What a spec is held against."""

    registry: DatabaseRegistry
    data_dirs: Sequence[Path]
    models_dir: Path
    runs_dir: Path

    def check(self, spec: JobSpec) -> None:
        """Raise the error of the first thing that makes the job impossible here (blocks on files).

        UnsupportedValue, UnknownDataset, InvalidRequest, TooLarge, ModelUnavailable, NoDiskSpace.
        """
        check_resources(spec.resources, Machine.here())
        check_installed(TRAINER_PACKAGES)
        self._check_model(spec.base_model)
        self._check_dataset(spec.train_data, "train_data")
        if spec.dev_data is not None:
            self._check_dataset(spec.dev_data, "dev_data")
        check_disk(self.runs_dir)

    def _check_model(self, name: str) -> None:
        try:
            check_model(name, self.models_dir)
        except ModelUnavailable as error:
            raise ModelUnavailable(error.message, param="base_model") from error

    def _check_dataset(self, name: str, param: str) -> None:
        wanted = dataset_db_ids(find_dataset(name, self.data_dirs, param), param)
        missing = sorted(set(wanted) - set(self.registry.ids()))
        if missing:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise InvalidRequest(
                f"{name!r} asks about databases that are not registered: "
                f"{', '.join(missing[:_NAMED])}{more}; add the folder that holds them to "
                "VERISQL_DATA_DIR",
                param=param,
            )


def check_resources(asked: Resources, machine: Machine) -> None:
    """Raise UnsupportedValue if the local machine is too small; a default asks for nothing."""
    if asked.nodes > 1:
        raise _too_much("nodes", asked.nodes, "the local launcher runs on one node")
    if asked.gpus_per_node > machine.gpus:
        raise _too_much("gpus_per_node", asked.gpus_per_node, f"this machine has {machine.gpus}")
    if "cpus" in asked.model_fields_set and asked.cpus > machine.cpus:
        raise _too_much("cpus", asked.cpus, f"this machine has {machine.cpus}")
    if "memory_gb" in asked.model_fields_set and asked.memory_gb > machine.memory_gb:
        raise _too_much("memory_gb", asked.memory_gb, f"this machine has {machine.memory_gb:.1f}")


def check_installed(packages: Sequence[str]) -> None:
    """Raise UnsupportedValue if the trainer's packages are not there; imports none of them."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UnsupportedValue(
            f"this installation cannot train, it lacks {', '.join(missing)}: "
            "pip install '.[train]'",
            param="launcher",
        )


def check_disk(folder: Path, min_free_bytes: int = MIN_FREE_BYTES) -> None:
    """Raise NoDiskSpace if less than `min_free_bytes` are free where the runs are kept."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < min_free_bytes:
        raise NoDiskSpace(
            f"{folder} has {free / 1024**3:.2f} GiB free, a run needs at least "
            f"{min_free_bytes / 1024**3:.2f}: free some space, or set VERISQL_HOME"
        )


def _too_much(name: str, asked: float, limit: str) -> UnsupportedValue:
    return UnsupportedValue(f"{name}={asked:g}: {limit}", param=f"resources.{name}")
