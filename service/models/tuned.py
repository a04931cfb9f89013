"""The tuned models that this package carries: an adapter, and what it belongs to.

service/models/shipped/NAME/   adapter_config.json, adapter_model.safetensors, README.md (the card),
                               tuned.json, and canary.json if the trainer left one

Only their names are in the code (catalogue.py). pack.py writes the folder, merged.py makes a model
of it.
"""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from service.errors import ModelUnavailable
from service.models.catalogue import TUNED
from service.strict import StrictModel
from service.text2sql.prompt import DEFAULT, Template

SHIPPED = Path(__file__).parent / "shipped"
ABOUT = "tuned.json"
_SHOWN_DIGITS = 12

Sha256 = Annotated[str, Field(pattern=re.compile(r"^[0-9a-f]{64}$"))]


class TunedModel(StrictModel):
    """`tuned.json`."""

    name: str
    base_model: str
    """A name of catalogue.py."""
    base_revision: str
    """The one that it was trained on, e.g. `gguf-sha256:1d9614638d18`."""
    base_tensors_sha256: Sha256
    """tensors.tensors_sha256 of that base: other weights are refused."""
    adapter_sha256: Sha256
    """adapter_files.revision_of the folder."""
    template: Annotated[str, AfterValidator(lambda text: str(Template.parse(text)))]
    """Of the prompts that it was trained with."""

    @property
    def adapter(self) -> str:
        """As answers name it: name@revision."""
        return f"{self.name}@{self.adapter_sha256[:_SHOWN_DIGITS]}"


def find_tuned(name: str, shipped: Path = SHIPPED) -> TunedModel | None:
    """What belongs to that name; None if it is no tuned model's.

    Raises ModelUnavailable if this package does not carry its files.
    """
    if name not in TUNED:
        return None
    try:
        found = TunedModel.model_validate_json((shipped / name / ABOUT).read_bytes())
    except (OSError, ValidationError) as error:
        raise _not_carried(name, shipped, error) from error
    if (found.name, found.base_model) != (name, TUNED[name]):
        raise _not_carried(name, shipped, f"it is of {found.name} on {found.base_model}")
    return found


def default_template(model: str, shipped: Path = SHIPPED) -> Template:
    """Of the prompts for a model: a tuned one was trained with one; raises ModelUnavailable."""
    tuned = find_tuned(model, shipped)
    return Template.parse(tuned.template) if tuned else DEFAULT


def _not_carried(name: str, shipped: Path, why: object) -> ModelUnavailable:
    return ModelUnavailable(
        f"this installation does not carry {name}: {shipped / name / ABOUT}: {why}. "
        f"VERISQL_MODEL={TUNED[name]} serves its base model",
        param="model",
    )
