"""Training data by name: `demo`, or a JSON file in BIRD's format inside a data folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.demo import questions_path
from service.errors import InvalidRequest, TooLarge, UnknownDataset

MAX_BYTES = 256 * 1024 * 1024
_FIELDS = ("db_id", "question", "SQL")


def find_dataset(name: str, data_dirs: Sequence[Path], param: str) -> Path:
    """The file that `name` means: absolute, or relative to a data folder.

    Links and `..` are resolved first; a file outside the data folders is unknown, whether it
    exists or not. Raises UnknownDataset.
    """
    if name == "demo":
        return questions_path()
    for folder in data_dirs:
        # An absolute name replaces the folder.
        path = _resolved(folder / name)
        if path and path.is_relative_to(folder.resolve()) and path.is_file():
            return path
    folders = ", ".join(map(str, data_dirs)) or "none is set"
    raise UnknownDataset(
        f"{param}={name!r} is no file inside a data folder (VERISQL_DATA_DIR: {folders}); "
        "give `demo`, or a JSON file that is in one of them",
        param=param,
    )


def dataset_db_ids(path: Path, param: str) -> list[str]:
    """The databases that a BIRD-format file asks about, sorted, each once.

    Raises TooLarge above 256 MiB, and InvalidRequest that names the first faulty row.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TooLarge(f"{path} has {size} bytes, at most {MAX_BYTES} are read", param=param)
    rows = _parsed(path, param)
    for number, row in enumerate(rows):
        if problem := _problem(row):
            raise InvalidRequest(f"{path}, row {number} (from 0): {problem}", param=param)
    return sorted({row["db_id"] for row in rows})


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # Too long, a NUL byte, a circle of links.
        return None


def _parsed(path: Path, param: str) -> list[Any]:
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} cannot be read as JSON: {error}", param=param) from error
    if not isinstance(rows, list) or not rows:
        raise InvalidRequest(
            f"{path} must be a JSON list of at least one {{db_id, question, evidence, SQL}}",
            param=param,
        )
    return rows


def _problem(row: Any) -> str | None:
    if not isinstance(row, dict):
        return f"must be an object, is {str(row)[:80]!r}"
    for name in _FIELDS:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            return f"{name!r} must be a text that is not empty, is {str(value)[:80]!r}"
    if not isinstance(row.get("evidence") or "", str):
        return "'evidence' must be a text"
    return None
