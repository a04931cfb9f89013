"""Where the databases of a dataset are: beside its file, or in the data folders."""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from service.text2sql.databases import Database, DatabaseRegistry

_LEVELS = 3  # of folders: BIRD and Spider need two, an archive unpacked into its own folder three
_MAX_FOLDERS = 20_000  # looked into, for a file that lies in a folder of everything


class Databases(Protocol):
    """The part of DatabaseRegistry that an audit needs."""

    def get(self, db_id: str) -> Database:
        """The database; raises UnknownDatabase, DatabaseUnusable."""

    async def sha256_async(self, db_id: str) -> str:
        """SHA-256 of the file's bytes."""


class Chain:
    """Several registries; the first that knows a name has it."""

    def __init__(self, registries: Sequence[DatabaseRegistry]) -> None:
        self._known = [(frozenset(registry.ids()), registry) for registry in registries]

    def get(self, db_id: str) -> Database:
        """The database; raises UnknownDatabase, DatabaseUnusable."""
        return self._of(db_id).get(db_id)

    async def sha256_async(self, db_id: str) -> str:
        """SHA-256 of the file's bytes."""
        return await self._of(db_id).sha256_async(db_id)

    def _of(self, db_id: str) -> DatabaseRegistry:
        found = (registry for ids, registry in self._known if db_id in ids)
        return next(found, self._known[-1][1])


def beside(file: Path, wanted: Collection[str]) -> DatabaseRegistry:
    """Each `<db_id>/<db_id>.sqlite` of a wanted name within three levels of the file's folder.

    The first in the order of names where one is there twice. Links are not followed, and folders
    that cannot be read are passed over.
    """
    found: dict[str, Database] = {}
    budget = [_MAX_FOLDERS]
    for path in _files(file.resolve().parent, _LEVELS, frozenset(wanted), budget):
        found.setdefault(path.stem, Database(path.stem, path))
    return DatabaseRegistry(list(found.values()))


def _files(folder: Path, levels: int, wanted: frozenset[str], budget: list[int]) -> Iterator[Path]:
    budget[0] -= 1
    if budget[0] < 0:
        return
    for entry in _entries(folder):
        if not entry.is_dir(follow_symlinks=False) or entry.name.startswith("."):
            continue
        path = Path(entry.path, f"{entry.name}.sqlite")
        if entry.name in wanted and path.is_file() and not path.is_symlink():
            yield path
        elif levels > 1:
            yield from _files(Path(entry.path), levels - 1, wanted, budget)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
