"""BIRD's `database_description/*.csv`, found beside a database file and matched to its columns.

The folder is as untrusted as the database: nothing in it is followed that is a symbolic link,
nothing is opened that is not a regular file, and reading is bounded in files and bytes. A faulty
file is never an error: what could not be read becomes a warning.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from service.text2sql.description_file import Described, DescriptionFile, folded, parse

FOLDER = "database_description"
MAX_FILES = 2_000
MAX_FILE_BYTES = 2**20
MAX_BYTES = 4 * 2**20
_MAX_ENTRIES = 20_000
_MAX_WARNINGS = 50
_SHOWN_NAMES = 3
_ENDING = ".csv"
_MAJORITY = 0.5

Signature = tuple[tuple[str, int, int], ...]
Tables = Mapping[str, Sequence[str]]
"""Names of columns by the name of their table."""


@dataclass(slots=True)
class Descriptions:
    """What is said of columns, by table and column as the database names them."""

    columns: dict[tuple[str, str], Described] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, file: str, what: str) -> None:
        """Keep one more warning, up to fifty."""
        if len(self.warnings) < _MAX_WARNINGS:
            self.warnings.append(f"{FOLDER}/{_short(file)} {what}")


def read_descriptions(beside: Path, tables: Tables) -> Descriptions:
    """Read the folder beside the database file `beside`; blocks, raises nothing."""
    found = Descriptions()
    files = dict(_read_all(beside.parent / FOLDER, found))
    assigned = _assigned(files, tables, found).items()
    # Where two files differ in case alone, the one that is named as the table is goes first.
    for name, table in sorted(assigned, key=lambda pair: pair[0] != pair[1] + _ENDING):
        _take(name, files[name], table, tables[table], found)
    return found


def signature(beside: Path) -> Signature:
    """Name, size and time of change (ns) of each file, so that a change is seen; blocks."""
    with suppress(OSError):
        folder = _open_folder(beside.parent / FOLDER)
        try:
            stats = ((name, os.lstat(name, dir_fd=folder)) for name in _names(folder))
            return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
        finally:
            os.close(folder)
    return ()


def _read_all(path: Path, found: Descriptions) -> Iterator[tuple[str, DescriptionFile]]:
    try:
        folder = _open_folder(path)
        try:
            yield from _read_files(folder, found)
        finally:
            os.close(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        found.warn("", f"cannot be read ({error.strerror})")


def _read_files(folder: int, found: Descriptions) -> Iterator[tuple[str, DescriptionFile]]:
    left, names = MAX_BYTES, _names(folder)
    if len(names) == MAX_FILES:
        found.warn("", f"holds too many files: read up to {names[-1]!a}")
    for name in names:
        data = _read(name, folder, min(left, MAX_FILE_BYTES), found)
        if data is not None:
            left -= len(data)
            yield name, parse(data)


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _names(folder: int) -> list[str]:
    """The CSV files' names, sorted; without what macOS leaves beside them (`._x.csv`)."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in islice(entries, _MAX_ENTRIES)]
    tables = (n for n in names if n.lower().endswith(_ENDING) and not n.startswith("."))
    return sorted(tables)[:MAX_FILES]


def _read(name: str, folder: int, most: int, found: Descriptions) -> bytes | None:
    """The file's bytes; None, with a warning, for what is no regular file or too long."""
    try:
        # Not blocking: to open a pipe would wait for its writer.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with open(handle, "rb") as file:
            if not S_ISREG(os.fstat(handle).st_mode):
                found.warn(name, "is not a regular file: not read")
                return None
            data = file.read(most + 1)
    except OSError as error:
        found.warn(name, f"cannot be read ({error.strerror})")
        return None
    if len(data) > most:
        found.warn(name, f"is over the limit of {most} bytes: not read")
        return None
    return data


def _assigned(
    files: Mapping[str, DescriptionFile], tables: Tables, found: Descriptions
) -> dict[str, str]:
    """Which file describes which table: by name, and else by the columns that it names.

    Published files are named `ruling.csv` where the table is `rulings`.
    """
    by_name = {folded(table): table for table in reversed(list(tables))}
    assigned = {
        name: by_name[key] for name in files if (key := folded(name[: -len(_ENDING)])) in by_name
    }
    free: defaultdict[str, list[str]] = defaultdict(list)
    for table in tables.keys() - assigned.values():
        for column in {folded(column) for column in tables[table]}:
            free[column].append(table)
    for name in sorted(files.keys() - assigned.keys()):
        if (found_for := _alike(files[name], free)) is None:
            found.warn(name, "describes no table of this database")
        else:
            found.warn(name, f"is read for {_short(found_for)}, whose columns it names")
            assigned[name] = found_for
    return assigned


def _alike(file: DescriptionFile, free: Mapping[str, Sequence[str]]) -> str | None:
    """The one table that has more than half of the file's columns, and more than any other.

    `free` holds tables by the name of a column.
    """
    named = {folded(described.column) for described in file.columns}
    shared = Counter(table for column in named for table in free.get(column, ()))
    first, second = [*shared.most_common(2), ("", 0), ("", 0)][:2]
    return first[0] if first[1] > max(_MAJORITY * len(named), second[1]) else None


def _take(
    name: str, file: DescriptionFile, table: str, columns: Sequence[str], found: Descriptions
) -> None:
    for warning in file.warnings:
        found.warn(name, warning)
    exact = {column: column for column in columns}
    near = {folded(column): column for column in reversed(columns)}
    unknown = []
    for described in file.columns:
        column = exact.get(described.column) or near.get(folded(described.column))
        if column is None:
            unknown.append(_short(described.column))
        else:
            found.columns.setdefault((table, column), described)
    if unknown:
        shown = ", ".join(unknown[:_SHOWN_NAMES]) + (", ..." if len(unknown) > _SHOWN_NAMES else "")
        found.warn(name, f"names {len(unknown)} columns that {_short(table)} has not: {shown}")


def _short(name: str) -> str:
    return ascii(name[:80])[1:-1]
