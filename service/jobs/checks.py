"""Everything that can be known to stop a job before anything is spent on it."""

import importlib.util
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.errors import InvalidRequest, ModelUnavailable, NoDiskSpace, UnsupportedValue
from service.jobs.datasets import dataset_db_ids, find_questions
from service.jobs.resources import Resources
from service.jobs.spec import JobSpec
from service.models.registry import check_model
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.layouts import Split

TRAINER_PACKAGES = ("torch", "trl", "peft")
MIN_FREE_BYTES = 1024**3
_NAMED = 3  # databases that a message lists


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
    launchers: Collection[str] = ("local",)
    """Those that this service is set up for."""
    verify_urls: Collection[str] = ()
    """Services that a job's verdicts may come from."""

    def check(self, spec: JobSpec) -> None:
        """Raise the error of the first thing that makes the job impossible here (blocks on files).

        UnsupportedValue, UnknownDataset, InvalidRequest, TooLarge, ModelUnavailable, NoDiskSpace.
        """
        check_launcher(spec.launcher, self.launchers)
        check_verify_url(spec.verify_url, self.verify_urls)
        if spec.launcher == "local":
            check_resources(spec.resources, Machine.here())
            check_installed(TRAINER_PACKAGES)
        self._check_model(spec.base_model, "base_model")
        if "select" in spec.recipe:
            for name in spec.hyperparameters.select.base_models:
                self._check_model(name, "hyperparameters.select.base_models")
        trained = self._db_ids(spec.train_data, "train_data", "train", need_gold=spec.needs_gold)
        if spec.dev_data is not None:
            check_apart(trained, self._db_ids(spec.dev_data, "dev_data", "dev"))
        check_disk(self.runs_dir)

    def _check_model(self, name: str, param: str) -> None:
        try:
            check_model(name, self.models_dir)
        except ModelUnavailable as error:
            raise ModelUnavailable(error.message, param=param) from error

    def _db_ids(self, name: str, param: str, split: Split, *, need_gold: bool = True) -> list[str]:
        path = find_questions(name, self.data_dirs, param, split)
        wanted = dataset_db_ids(path, param, split, need_gold=need_gold)
        if missing := sorted(set(wanted) - set(self.registry.ids())):
            raise InvalidRequest(
                f"{name!r} asks about databases that are not registered: {_named(missing)}; add "
                "the folder that holds them to VERISQL_DATA_DIR",
                param=param,
            )
        return wanted


def check_launcher(name: str, known: Collection[str]) -> None:
    """Raise UnsupportedValue if the service is not set up for that launcher."""
    if name not in known:
        raise UnsupportedValue(
            f"launcher={name!r}: this service is set up for {', '.join(sorted(known))}; "
            "docs/train-jobs.md says which settings a launcher needs",
            param="launcher",
        )


def check_verify_url(url: str | None, known: Collection[str]) -> None:
    """Raise UnsupportedValue for an address that a trainer may not be made to call."""
    if url is not None and url not in known:
        raise UnsupportedValue(
            f"verify_url={url!r}: VERISQL_VERIFY_URLS of this service lets a job name "
            f"{', '.join(sorted(known)) or 'none'}",
            param="verify_url",
        )


def check_apart(train: Sequence[str], dev: Sequence[str]) -> None:
    """Raise InvalidRequest if both ask about a database; the trainer looks deeper than names."""
    if shared := sorted(set(train) & set(dev)):
        raise InvalidRequest(
            f"train_data and dev_data both ask about {_named(shared)}: dev measures what was "
            "learned only on databases that are not trained on; leave these out of one of them",
            param="dev_data",
        )


def _named(db_ids: Sequence[str]) -> str:
    more = f" and {len(db_ids) - _NAMED} more" if len(db_ids) > _NAMED else ""
    return ", ".join(db_ids[:_NAMED]) + more


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
