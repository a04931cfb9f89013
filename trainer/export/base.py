"""The base model as others can get it: a name of the Hugging Face hub, a commit, a licence."""

from dataclasses import dataclass
from pathlib import Path

from trainer.report.facts import read_json

_MARKER = "verisql-model.json"
"""What the service writes into a model's folder: name, revision, files."""


@dataclass(frozen=True, slots=True)
class PublicBase:
    """What adapter_config.json and the card say instead of a path on this machine."""

    name: str
    """`org/name` of the hub, or the name that the job used."""
    revision: str | None = None
    """A commit of 40 digits; None where it is not known."""
    license: str = "unknown"
    """As the hub names licences; `unknown` is one of its names."""
    weights: str | None = None
    """What the weights here were made from, if not that commit's own: `gguf-sha256:...`."""


KNOWN = {
    "qwen2.5-coder-0.5b-instruct": PublicBase(
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "ea3f2471cf1b1f0db85067f1ef93848e38e88c25",
        "apache-2.0",
    ),
    "smollm2-135m-instruct": PublicBase(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "12fd25f77366fa6b3b4b768ec3050bf629380bac",
        "apache-2.0",
    ),
}
"""The models that the service knows by name; a test compares this with its catalogue."""


def public_base(name: str, folder: Path) -> PublicBase:
    """From the job's name of the model and the folder it was read from.

    A folder of the user's own has no public name: it goes by the folder's last part, never by the
    path.
    """
    marker = read_json(folder / _MARKER)
    revision = str(marker.get("revision") or "") or None
    known = KNOWN.get(name) or KNOWN.get(str(marker.get("model")))
    if known:
        made_from = revision if revision != known.revision else None
        return PublicBase(known.name, known.revision, known.license, made_from)
    public, _, commit = name.partition("@")
    if public.startswith(("/", ".", "~")) or public.count("/") > 1:
        return PublicBase(Path(public).name, weights=revision)
    return PublicBase(public, commit or None, weights=revision)
