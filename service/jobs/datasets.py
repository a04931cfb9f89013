"""Training data by name: `demo`, or a JSON file in BIRD's format inside a data folder."""

from collections.abc import Sequence
from pathlib import Path

from service.demo import questions_path
from service.errors import InvalidRequest, TooLarge, UnknownDataset
from service.text2sql.questions import Dataset, read_dataset, read_questions

MAX_BYTES = 256 * 1024 * 1024


def find_dataset(name: str, data_dirs: Sequence[Path], param: str) -> Path:
    """The file that `name` means: absolute, or relative to a data folder.

    Links and `..` are resolved first; a file outside the data folders is unknown, whether it
    exists or not. Raises UnknownDataset.
    """
    if name == "demo":
        return questions_path()
    for folder in data_dirs:
        # An absolute name replaces the folder.
        if path := _file_inside(folder, folder / name):
            return path
    folders = ", ".join(map(str, data_dirs)) or "none is set"
    raise UnknownDataset(
        f"{param}={name!r} is no file inside a data folder (VERISQL_DATA_DIR: {folders}); "
        "give `demo`, or a JSON file that is in one of them",
        param=param,
    )


def load_dataset(path: Path, param: str) -> Dataset:
    """The rows of a file of questions, faulty ones as values.

    Raises TooLarge above 256 MiB, and InvalidRequest if no row is sound.
    """
    _check_size(path, param)
    try:
        return read_dataset(path)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param=param) from error


def dataset_db_ids(path: Path, param: str) -> list[str]:
    """The databases that a file of questions is about, sorted, each once.

    Raises TooLarge above 256 MiB, and InvalidRequest that names the first faulty row.
    """
    _check_size(path, param)
    try:
        return sorted({question.db_id for question in read_questions(path)})
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param=param) from error


def _check_size(path: Path, param: str) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TooLarge(f"{path} has {size} bytes, at most {MAX_BYTES} are read", param=param)


def _file_inside(folder: Path, path: Path) -> Path | None:
    try:
        real = path.resolve()
        return real if real.is_relative_to(folder.resolve()) and real.is_file() else None
    except (OSError, ValueError, RuntimeError):  # Too long, a NUL byte, a circle of links.
        return None
