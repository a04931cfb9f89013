"""Ready settings for machines of three sizes, as data: NAME.yaml holds a job's part of the spec.

accelerate/SHARDING.yaml  what `accelerate launch` is told for each `resources.sharding`
models.yaml               sizes of the models that the presets name
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from service.errors import UnsupportedValue
from service.jobs.resources import Sharding
from service.jobs.spec import JobSpec

_FOLDER = Path(__file__).parent
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Preset:
    """One file: what it is for, and the fields of a JobSpec that it sets."""

    name: str
    about: str
    job: Fields

    def spec(self, given: Fields) -> JobSpec:
        """The whole spec; `given` must have `train_data`, and wins where both say something.

        Raises pydantic.ValidationError.
        """
        return JobSpec.model_validate(_merged(self.job, given))


def names() -> list[str]:
    """All presets, by name."""
    return sorted(path.stem for path in _FOLDER.glob("*-*.yaml"))


def load(name: str) -> Preset:
    """A preset; raises UnsupportedValue if there is none of that name."""
    if name not in names():
        raise UnsupportedValue(
            f"there is no preset {name!r}: {', '.join(names())} are there", param="preset"
        )
    found = _read(_FOLDER / f"{name}.yaml")
    return Preset(name, found["about"], found["job"])


def accelerate_file(sharding: Sharding) -> Path:
    """The configuration of `accelerate launch` for a strategy that is decided (not `auto`)."""
    return _FOLDER / "accelerate" / f"{sharding}.yaml"


@cache
def models() -> dict[str, Fields]:
    """`config` (fields of a Qwen2Config) and `published` of each model, by its hub name."""
    found: dict[str, Fields] = _read(_FOLDER / "models.yaml")
    return found


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _merged(under: Fields, over: Fields) -> Fields:
    """`over` on top of `under`, object by object."""
    both = {
        key: _merged(under[key], over[key])
        for key in under.keys() & over.keys()
        if isinstance(under[key], dict) and isinstance(over[key], dict)
    }
    return under | over | both
