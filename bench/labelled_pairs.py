"""The labelled pairs and their databases, which are not part of the project, for the benches."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("TEST_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))
Row = dict[str, Any]


def read_pairs(folder: Path = DATA) -> list[Row]:
    """All that are not hostile, each (db, gold, pred) once, in the file's order."""
    with (folder / "labelled_pairs.jsonl").open() as lines:
        rows = [row for row in map(json.loads, lines) if row["kind"] != "hostile"]
    return list({(row["db"], row["gold"], row["pred"]): row for row in rows}.values())


def groups(rows: Iterable[Row]) -> list[list[Row]]:
    """The pairs of the same database and gold together."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["db"], row["gold"]].append(row)
    return list(found.values())


def copy_databases(folder: Path, target: Path) -> dict[str, str]:
    """Writable copies of every database by db_id."""
    paths = {}
    for source in sorted(folder.rglob("*.sqlite")):
        copy = target / source.stem / source.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        paths[source.stem] = str(copy)
    return paths
