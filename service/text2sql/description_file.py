"""One file of BIRD's `database_description`: bytes in, a description of each column out.

Published are `original_column_name, column_name, column_description, data_format,
value_description`, in files of several encodings (UTF-8 with a byte order mark, Windows-1252, and
both in one file) and with many small faults; docs/prompts.md lists what is read in spite of them.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from service.text2sql.untrusted import one_line

LONGEST_DESCRIPTION = 200
LONGEST_VALUES = 300
"""Characters; what is longer is cut and ends in an ellipsis."""
_LONGEST_NAME = 1000
_MAX_ROWS = 4_000  # twice what a table of SQLite can have
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_WORDS = re.compile(r"[^\W_]+")
_MARK = "\ufeff"
_KNOWN = ("original_column_name", "column_name", "column_description", "value_description")
_WINDOWS = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte)
    for byte in range(0x80, 0x100)
}
"""What bytes mean that are not UTF-8, by the lone surrogates that Python decodes them to."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a file says of one column; `column` is the name in the database, or near it."""

    column: str
    description: str
    value_description: str


@dataclass(slots=True)
class DescriptionFile:
    """The columns described, in the order of the file, and what could not be read."""

    columns: list[Described] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def parse(data: bytes) -> DescriptionFile:
    """Read as much as there is; raises nothing."""
    read = DescriptionFile()
    text = _decoded(data)
    if not text.strip():
        read.warnings.append("is empty")
        return read
    if text.count('"') % 2:
        read.warnings.append("has a quotation mark without its partner: lines may run together")
    rows = _rows(text, read.warnings)
    header = _header(next(rows, []))
    if not {"original_column_name", "column_name"} & set(header):
        read.warnings.append("has neither a column original_column_name nor column_name")
        return read
    for row in rows:
        if described := _described(_cells(header, row)):
            read.columns.append(described)
    return read


def folded(name: str) -> str:
    """The name without what published files get wrong: case, and blanks at its ends or doubled."""
    return " ".join(name.replace(_MARK, "").split()).casefold()


def _decoded(data: bytes) -> str:
    if data.startswith(_UTF_16):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8-sig", "surrogateescape").translate(_WINDOWS)
    return text.replace("\0", "")


def _rows(text: str, warnings: list[str]) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        filled = (row for row in reader if any(cell.strip() for cell in row))
        yield from islice(filled, _MAX_ROWS)
    except csv.Error as error:
        warnings.append(f"is read up to line {reader.line_num} only: {error}")


def _header(row: Sequence[str]) -> list[str]:
    """The headers' words, without unnamed ones at the end."""
    keys = ["_".join(_WORDS.findall(cell)).casefold() for cell in row]
    while keys and not keys[-1]:
        keys.pop()
    return keys


def _cells(header: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """The row's cells by header; cells beyond the header belong to its last column.

    They come from commas that were not quoted.
    """
    cells: dict[str, str] = {}
    for key, cell in zip(header, row, strict=False):
        if key in _KNOWN:
            cells.setdefault(key, cell)
    beyond = [cell.strip() for cell in row[len(header) :] if cell.strip()]
    if beyond and header[-1] in _KNOWN:
        cells[header[-1]] = ", ".join([cells[header[-1]], *beyond])
    return cells


def _described(cells: dict[str, str]) -> Described | None:
    readable = cells.get("column_name", "")
    original = cells.get("original_column_name", "")
    column = original if original.strip() else readable
    if not column.strip():
        return None
    said = _new([column, readable, cells.get("column_description", "")])
    values = one_line(cells.get("value_description", ""), LONGEST_VALUES)
    return Described(column[:_LONGEST_NAME], one_line(": ".join(said), LONGEST_DESCRIPTION), values)


def _new(texts: Sequence[str]) -> list[str]:
    """The texts after the first that do not only say again, in their words, what came before."""
    seen, kept = {_said(texts[0]), ""}, []
    for text in texts[1:]:
        if (said := _said(text)) not in seen:
            seen.add(said)
            kept.append(text.strip())
    # A readable name that the description only begins with or repeats is not said twice.
    return [t for i, t in enumerate(kept) if not any(_said(t) in _said(u) for u in kept[i + 1 :])]


def _said(text: str) -> str:
    return "".join(_WORDS.findall(text)).casefold()
