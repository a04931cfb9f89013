"""Which databases there are: files found under the data folders, by BIRD's and Spider's layout."""

import asyncio
import contextlib
import filecmp
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from service.errors import DatabaseUnusable, SettingsError, UnknownDatabase

_LEVELS = 4  # of folders below a data folder
_SQLITE_HEADER = b"SQLite format 3\0"
_OWN = 4  # numbers of a signature that are the file's own; what follows is of files beside it
_BESIDE = ("-wal", "-journal")  # where SQLite keeps changes that the file does not have yet


@dataclass(frozen=True, slots=True)
class Database:
    """A registered database."""

    db_id: str
    path: Path


class DatabaseRegistry:
    """Databases by their db_id; a name is looked up, never made into a path."""

    def __init__(self, databases: Sequence[Database]) -> None:
        self._databases = {database.db_id: database for database in databases}
        self._checked: dict[str, tuple[int, ...]] = {}
        self._hashes: dict[tuple[str, tuple[int, ...]], str] = {}

    @classmethod
    def scan(cls, folders: Sequence[Path]) -> "DatabaseRegistry":
        """Every `<db_id>/<db_id>.sqlite` within four levels; symbolic links are not followed.

        Raises SettingsError for a folder that is not there or cannot be read, and for a db_id found
        twice. Only Spider's `test_database`, which repeats what is in `database` beside it, may do
        so, with equal files.
        """
        found: dict[str, Database] = {}
        for folder in folders:
            for path in _sqlite_files(folder, _LEVELS):
                other = found.get(path.stem)
                if other and _repeats(path, other.path):
                    continue
                if other and other.path != path:
                    raise SettingsError(
                        f"VERISQL_DATA_DIR: db_id {path.stem!r} is there twice: "
                        f"{other.path} and {path}; rename or leave out one",
                        param="data_dir",
                    )
                found[path.stem] = Database(path.stem, path)
        return cls(list(found.values()))

    def ids(self) -> list[str]:
        """All db_ids, sorted."""
        return sorted(self._databases)

    def sizes(self) -> dict[str, int | None]:
        """File sizes in bytes by db_id, sorted; None where the file is missing."""
        paths = ((db_id, self._databases[db_id].path) for db_id in self.ids())
        return {db_id: path.stat().st_size if path.exists() else None for db_id, path in paths}

    def get(self, db_id: str) -> Database:
        """The database of that name, its file looked at; raises UnknownDatabase, DatabaseUnusable.

        The file is read again only when its size or time of change, or those of SQLite's files
        beside it, say that it is another.
        """
        database = self._databases.get(db_id)
        if database is None:
            raise UnknownDatabase(
                f"no database is registered as {db_id[:200]!r}; GET /databases lists them",
                param="db_id",
            )
        signature = _signature(database) + _signature_beside(database)
        if self._checked.get(db_id) != signature:
            _check(database)
            self._checked[db_id] = signature
        return database

    async def look(self, db_id: str) -> tuple[Database, str]:
        """The database and its SHA-256, looked at once; raises as `get`."""
        database = self.get(db_id)
        known = self._hashes.get((db_id, self._checked[db_id][:_OWN]))
        return database, known if known else await asyncio.to_thread(self.sha256, db_id)

    def sha256(self, db_id: str) -> str:
        """SHA-256 of the file's bytes, remembered until the file changes."""
        database = self.get(db_id)
        key = (db_id, self._checked[db_id][:_OWN])
        if key not in self._hashes:
            with database.path.open("rb") as file:
                self._hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[key]

    async def sha256_async(self, db_id: str) -> str:
        """As sha256, without holding up the event loop while a large file is read."""
        return (await self.look(db_id))[1]


def _sqlite_files(folder: Path, levels: int) -> Iterator[Path]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False) and levels > 0:
            yield from _sqlite_files(Path(entry.path), levels - 1)
        elif entry.is_file(follow_symlinks=False) and entry.name == f"{folder.name}.sqlite":
            yield Path(entry.path)


def _repeats(path: Path, first: Path) -> bool:
    """True for Spider's own second copy of a database."""
    folder, beside = path.parents[1], first.parents[1]
    published = (folder.name, beside) == ("test_database", folder.with_name("database"))
    return published and filecmp.cmp(path, first)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError) as error:
        why = "is not a folder"
        raise SettingsError(f"VERISQL_DATA_DIR: {folder} {why}", param="data_dir") from error
    except OSError as error:
        why = f"cannot be read ({error.strerror}): make it readable, or name other folders"
        raise SettingsError(f"VERISQL_DATA_DIR: {folder} {why}", param="data_dir") from error


def _signature(database: Database) -> tuple[int, ...]:
    try:
        stat = database.path.stat()
    except OSError as error:
        raise _unusable(database, f"cannot be read ({error.strerror})") from error
    if not S_ISREG(stat.st_mode):  # to open a pipe would wait for its writer
        raise _unusable(database, "is not a file")
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _signature_beside(database: Database) -> tuple[int, ...]:
    """Size and time of change of each file beside it; nothing where there is none."""
    found: list[int] = []
    for number, suffix in enumerate(_BESIDE):
        with contextlib.suppress(OSError):
            stat = os.stat(f"{database.path}{suffix}")
            found += [number, stat.st_size, stat.st_mtime_ns]
    return tuple(found)


def _check(database: Database) -> None:
    try:
        with database.path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
    except OSError as error:
        raise _unusable(database, f"cannot be read ({error.strerror})") from error
    if header != _SQLITE_HEADER:
        raise _unusable(database, "is not an SQLite file" if header else "is empty")
    for suffix in _BESIDE:
        beside = database.path.with_name(database.path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise _unusable(
                database,
                f"has unfinished changes beside it ({beside.name}); close its writer, then run "
                "PRAGMA wal_checkpoint(TRUNCATE) or PRAGMA journal_mode=DELETE",
            )


def _unusable(database: Database, why: str) -> DatabaseUnusable:
    return DatabaseUnusable(f"the database file of {database.db_id!r} {why}", param="db_id")
