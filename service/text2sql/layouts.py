"""Where published datasets keep their questions: BIRD's and Spider's folders, and JSONL shards.

BIRD     train/train.json   dev_20240627/dev.json   (train_databases/, dev_databases/ beside)
Spider   train_spider.json + train_others.json      dev.json       (database/ beside)
shards   one or more *.jsonl, and nothing of the above
"""

from itertools import chain
from pathlib import Path
from typing import Literal

from service.errors import InvalidRequest

Split = Literal["train", "dev"]

_PUBLISHED: dict[Split, tuple[tuple[str, ...], ...]] = {
    "train": (("train.json",), ("train_spider.json", "train_others.json"), ("train/train.json",)),
    "dev": (("dev.json",), ("dev/dev.json",), ("dev_*/dev.json",), ("mini_dev_sqlite.json",)),
}
_LINES: dict[Split, str] = {"train": "train*.jsonl", "dev": "dev*.jsonl"}
_SHARDS = "*.jsonl"


def question_files(path: Path, split: Split) -> list[Path]:
    """The files that hold a split's questions, in order: `path` itself, or what the folder holds.

    In a folder the first of the published layouts that is there is taken; without any, the JSONL
    files named after the split, and without those all JSONL files, by name. Links are not followed
    out of the folder. Raises InvalidRequest that says what was looked for.
    """
    if not path.is_dir():
        return [path]
    patterns = [*_PUBLISHED[split], (_LINES[split],), (_SHARDS,)]
    for names in patterns:
        if found := _inside(path, names):
            return found
    looked_for = ", ".join(chain.from_iterable(patterns))
    raise InvalidRequest(
        f"the folder {path} holds no {split} questions; looked for {looked_for}: name the file "
        "itself"
    )


def _inside(folder: Path, names: tuple[str, ...]) -> list[Path]:
    real = folder.resolve()
    found = chain.from_iterable(sorted(folder.glob(name)) for name in names)
    return [p for p in found if p.is_file() and p.resolve().is_relative_to(real)]
