"""The registered adapters: each with its own copy of the files, and where it comes from.

<home>/registered/NAME@REVISION/   adapter_config.json, adapter_model.safetensors, about.json, and
                                   canary.json if the trainer left one; complete or absent
<home>/registered/live.json        which one is live, and which was before

A copy, so that a run that is cleaned up takes nothing away, and a file that changes later changes
nothing: another content is another revision.
"""

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from service.errors import Conflict, InvalidRequest, TooLarge, UnknownModel
from service.models.adapter_files import (
    CANARY,
    CONFIG,
    NEW,
    WEIGHTS,
    check_adapter,
    other_base,
    revision_of,
)
from service.models.atomic import replace_file, sync, unwritable
from service.models.catalogue import TUNED
from service.models.registry import ServedModel

BASE = "base"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_RESERVED = (BASE, "live", "default", "previous", "verisql", "no-adapter")
_SHOWN_DIGITS = 12
_LONGEST_LINEAGE = 65_536  # bytes
_ABOUT, _LIVE = "about.json", "live.json"


@dataclass(frozen=True, slots=True)
class AdapterModel:
    """One registered adapter."""

    name: str
    revision: str
    """SHA-256 of its files, 64 hex digits."""
    base: str
    """The model that it was trained on, in its own words."""
    rank: int
    size_bytes: int
    source: str
    """The folder that it was taken from."""
    registered_at: float
    """Seconds since 1970."""
    parent: str | None = None
    """The adapter, as name@revision, that its training went on from; None is the base."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """What its maker tells: hashes of data and spec, job and step, metrics."""

    @property
    def served_name(self) -> str:
        """What the model server calls it: another revision is another name."""
        return f"{self.name}@{self.revision[:_SHOWN_DIGITS]}"


@dataclass(frozen=True, slots=True)
class LiveChoice:
    """What live.json says, by served name; None is the base."""

    live: str | None = None
    previous: str | None = None
    since: float = 0.0


class AdapterStore:
    """The folder of registered adapters."""

    def __init__(
        self, folder: Path, roots: Sequence[Path], base: ServedModel | None, max_rank: int
    ) -> None:
        self._folder = folder
        self._roots = list(roots)
        self._base = base
        self._max_rank = max_rank
        self._known: dict[str, AdapterModel] = {}
        self._copying = asyncio.Lock()

    def open(self) -> None:
        """Read what is there; half-written copies are removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for partial in self._folder.glob(f"{NEW}*"):
            shutil.rmtree(partial, ignore_errors=True)
        found = [read for path in self._folder.glob(f"*/{_ABOUT}") if (read := _read_about(path))]
        self._known = {a.name: a for a in sorted(found, key=lambda a: a.registered_at)}

    def all(self) -> list[AdapterModel]:
        """By age, the oldest first."""
        return list(self._known.values())

    def find(self, name: str) -> AdapterModel | None:
        """By name or by name@revision."""
        found = self._known.get(name.partition("@")[0])
        return found if found and name in (found.name, found.served_name) else None

    def get(self, name: str) -> AdapterModel:
        """By name or by name@revision; raises UnknownModel."""
        if found := self.find(name):
            return found
        known = ", ".join([BASE, *self._known])
        raise UnknownModel(f"no model is named {name[:200]!r}; known: {known}", param="name")

    def folder(self, adapter: AdapterModel) -> Path:
        """Our copy of its files."""
        return self._folder / adapter.served_name

    def source(self, name: str, path: str | None) -> Path:
        """The folder that a request means, below the allowed ones; raises InvalidRequest.

        A relative path starts at the folder that holds ours; None is the adapter's name in the
        folder of adapters.
        """
        given = Path(path) if path is not None else self._roots[0] / name
        whole = self._folder.parent / given
        try:
            plain = ".." not in given.parts and whole.resolve() == whole
            found = plain and whole.is_dir() and any(map(whole.is_relative_to, self._roots))
        except (OSError, ValueError, RuntimeError):
            found = False
        if not found:
            roots = " or ".join(map(str, self._roots))
            raise InvalidRequest(
                f"path {str(given)[:200]!r} is no folder below {roots}, without links and '..'",
                param="path",
            )
        return whole

    async def register(
        self, folder: Path, name: str, parent: str | None, lineage: dict[str, Any]
    ) -> AdapterModel:
        """Check a folder and take a copy; the same content again is no error.

        Raises AdapterRejected, InvalidRequest for a name, TooLarge, Conflict when the name is
        taken, UnknownModel for the parent, NoDiskSpace, Unavailable.
        """
        self._check_name(name)
        if len(json.dumps(lineage)) > _LONGEST_LINEAGE:
            raise TooLarge(f"metadata is over {_LONGEST_LINEAGE} bytes as JSON", param="metadata")
        if parent is not None:
            parent = self.get(parent).served_name
        async with self._copying:
            adapter = await asyncio.to_thread(self._copy, folder, name, parent, lineage)
            self._known[name] = adapter
        return adapter

    async def intact(self, adapter: AdapterModel) -> bool:
        """Whether our copy still is what was registered."""
        try:
            now = await asyncio.to_thread(revision_of, self.folder(adapter))
        except OSError:
            return False
        return now == adapter.revision

    def unfit(self, adapter: AdapterModel) -> str | None:
        """Why it cannot be used with the model that is served now; None if nothing speaks so."""
        other = other_base(adapter.base, self._base) if self._base else None
        return f"was trained on {other}" if other else None

    def remove(self, adapter: AdapterModel) -> None:
        """Forget it and delete our copy."""
        self._known.pop(adapter.name, None)
        gone = self._folder / f"{NEW}{adapter.served_name}"  # a name that open() cleans up
        self.folder(adapter).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def choice(self) -> LiveChoice:
        """What was live last; the base if that cannot be read."""
        try:
            choice = LiveChoice(**json.loads((self._folder / _LIVE).read_bytes()))
        except (OSError, ValueError, TypeError):
            return LiveChoice()
        names = (choice.live, choice.previous)
        return choice if all(n is None or isinstance(n, str) for n in names) else LiveChoice()

    def choose(self, choice: LiveChoice) -> None:
        """Write what is live; raises NoDiskSpace, Unavailable."""
        try:
            replace_file(self._folder / _LIVE, json.dumps(asdict(choice)))
        except OSError as error:
            raise unwritable(error) from error

    def _check_name(self, name: str) -> None:
        base = self._base.name if self._base else ""
        taken = list(dict.fromkeys([*_RESERVED, *TUNED, *filter(None, [base])]))
        if not NAME.fullmatch(name) or name in taken:
            raise InvalidRequest(
                f"name {name[:100]!r} must be 1 to 63 of a-z, 0-9, '.', '_', '-', begin with a "
                f"letter or digit, and be none of {', '.join(taken)}",
                param="name",
            )

    def _copy(
        self, folder: Path, name: str, parent: str | None, lineage: dict[str, Any]
    ) -> AdapterModel:
        new = self._folder / f"{NEW}{name}"
        shutil.rmtree(new, ignore_errors=True)
        # What is checked is the copy: the source may change meanwhile.
        try:
            new.mkdir()
            _take(folder, new)
            files = check_adapter(new, self._base, self._max_rank)
            adapter = AdapterModel(
                name=name,
                revision=files.revision,
                base=files.base_name,
                rank=files.rank,
                size_bytes=files.size_bytes,
                source=str(folder),
                registered_at=time.time(),
                parent=parent,
                lineage=lineage,
            )
            if known := self._known.get(name):
                return self._renewed(known, adapter, new)
            replace_file(new / _ABOUT, json.dumps(asdict(adapter), indent=1))
            shutil.rmtree(self.folder(adapter), ignore_errors=True)  # one that cannot be read
            new.rename(self.folder(adapter))
            sync(self._folder)
            return adapter
        except OSError as error:
            raise unwritable(error) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _renewed(self, known: AdapterModel, again: AdapterModel, new: Path) -> AdapterModel:
        """The same files once more: what is told of them now counts, where anything is told."""
        kept = _same(known, again)
        if (new / CANARY).is_file():
            os.replace(new / CANARY, self.folder(kept) / CANARY)
        if not again.lineage:
            return kept
        told = replace(kept, lineage=again.lineage, parent=again.parent, source=again.source)
        replace_file(self.folder(kept) / _ABOUT, json.dumps(asdict(told), indent=1))
        return told


def any_registered(folder: Path) -> bool:
    """Whether that folder of registered adapters holds one."""
    return any(folder.glob(f"*/{_ABOUT}"))


def taken_from(registered: Path, folder: Path) -> bool:
    """Whether an adapter in that folder of registered ones was taken from below `folder`."""
    read = (_read_about(path) for path in registered.glob(f"*/{_ABOUT}"))
    return any(Path(about.source).is_relative_to(folder) for about in read if about)


def _take(folder: Path, new: Path) -> None:
    """Copy the files that count; check_adapter tells of those that are missing."""
    for path in folder.glob("adapter_model.*"):
        if path.name != WEIGHTS:
            (new / path.name).touch()  # its name alone is what is refused
    for name in (CONFIG, WEIGHTS, CANARY):
        path = folder / name
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, new / name, follow_symlinks=False)
            sync(new / name)


def _same(known: AdapterModel, new: AdapterModel) -> AdapterModel:
    if known.revision == new.revision:
        return known
    raise Conflict(
        f"{known.name!r} is registered with revision {known.revision[:_SHOWN_DIGITS]}, this is "
        f"{new.revision[:_SHOWN_DIGITS]}: choose another name, or delete that one first",
        param="name",
    )


def _read_about(path: Path) -> AdapterModel | None:
    try:
        return AdapterModel(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
