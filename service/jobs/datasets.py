"""Questions by name: `demo`, or a file, or a published dataset's folder, inside a data folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from service.demo import questions_path
from service.errors import InvalidRequest, TooLarge, UnknownDataset
from service.text2sql.layouts import Split, question_files
from service.text2sql.questions import Dataset, read_dataset, read_questions

MAX_BYTES = 256 * 1024 * 1024


def find_dataset(name: str, data_dirs: Sequence[Path], param: str) -> Path:
    """The file that `name` means: absolute, or relative to a data folder.

    Links and `..` are resolved first; a file outside the data folders is unknown, whether it
    exists or not. Raises UnknownDataset.
    """
    return _find(name, data_dirs, param, Path.is_file, "file")


def find_questions(name: str, data_dirs: Sequence[Path], param: str, split: Split) -> Path:
    """As find_dataset, but also a folder, as layouts.question_files reads it.

    Where that comes to one file it is this file. Raises UnknownDataset, and InvalidRequest for a
    folder without such questions.
    """
    path = _find(name, data_dirs, param, Path.exists, "file or folder")
    try:
        files = question_files(path, split)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param=param) from error
    return files[0] if len(files) == 1 else path


def _find(
    name: str, data_dirs: Sequence[Path], param: str, wanted: Callable[[Path], bool], kind: str
) -> Path:
    if name == "demo":
        return questions_path()
    for folder in data_dirs:
        # An absolute name replaces the folder.
        if path := _inside(folder, folder / name, wanted):
            return path
    folders = ", ".join(map(str, data_dirs)) or "none is set"
    raise UnknownDataset(
        f"{param}={name!r} is no {kind} inside a data folder (VERISQL_DATA_DIR: {folders}); "
        f"give `demo`, or a {kind} of questions that is in one of them",
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


def dataset_db_ids(
    path: Path, param: str, split: Split = "train", *, need_gold: bool = True
) -> list[str]:
    """The databases that a file or folder of questions is about, sorted, each once.

    Raises TooLarge above 256 MiB a file, and InvalidRequest that names the first faulty row.
    """
    try:
        for file in question_files(path, split):
            _check_size(file, param)
        questions = read_questions(path, split, need_gold=need_gold)
    except InvalidRequest as error:
        raise type(error)(error.message, param=param) from error
    return sorted({question.db_id for question in questions})


def _check_size(path: Path, param: str) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TooLarge(f"{path} has {size} bytes, at most {MAX_BYTES} are read", param=param)


def _inside(folder: Path, path: Path, wanted: Callable[[Path], bool]) -> Path | None:
    try:
        real = path.resolve()
        return real if real.is_relative_to(folder.resolve()) and wanted(real) else None
    except (OSError, ValueError, RuntimeError):  # Too long, a NUL byte, a circle of links.
        return None
