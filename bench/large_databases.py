"""Databases of about 100 MB, 300 MB and 1 GB with made-up contents, the same for the same seed.

    python -m bench.large_databases FOLDER            # build what is missing
    python -m bench.large_databases FOLDER --check    # and time every gold of large_questions.json

Each `data/large/<db_id>.sql` is SQLite with three macros, so that the engine itself makes the rows:
`ROWS(1000)` is a table of n = 1..1000, scaled by --scale; `R(salt, m)` an integer in [0, m) that
depends on seed, salt and n; `PICK(salt, a|b|c)` one of the words. The layout is
`FOLDER/<db_id>/<db_id>.sqlite`, as in BIRD. Some foreign keys have an index and some have none.
"""

import argparse
import json
import re
import sqlite3
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
QUESTIONS = DATA / "large_questions.json"
_PRIME = 2**31 - 1
_ROWS = re.compile(r"ROWS\((\d+)\)")
_R = re.compile(r"R\((\w+), *(\d+)\)")
_PICK = re.compile(r"PICK\((\w+), *([^)]*)\)")


def db_ids() -> list[str]:
    """The databases, smallest first."""
    return ["city_bikes", "clinic_network", "web_shop"]


def build(folder: Path, db_id: str, *, scale: float = 1.0, seed: int = 0) -> Path:
    """The database file, made if it is not there; `scale` 1.0 gives the full size."""
    path = folder / db_id / f"{db_id}.sqlite"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    script = (DATA / "large" / f"{db_id}.sql").read_text()
    with closing(sqlite3.connect(partial)) as connection:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        connection.executescript(expand(script, scale=scale, seed=seed))
        connection.commit()
    partial.rename(path)
    return path


def expand(script: str, *, scale: float, seed: int) -> str:
    """The script with its macros written out."""
    script = _PICK.sub(lambda found: _pick(found[1], found[2].split("|")), script)
    script = _R.sub(lambda found: _number(f"{found[1]}/{seed}", int(found[2])), script)
    return _ROWS.sub(lambda found: _rows(max(1, int(int(found[1]) * scale))), script)


def _pick(salt: str, words: list[str]) -> str:
    width = max(map(len, words))
    table = "".join(word.ljust(width) for word in words)
    return f"rtrim(substr('{table}', 1 + {width} * R({salt}, {len(words)}), {width}))"


def _number(salt: str, bound: int) -> str:
    # Two rounds, the second not linear; all products stay below 2**62.
    a, b = zlib.crc32(salt.encode()) % _PRIME, zlib.crc32(salt[::-1].encode()) % _PRIME
    first = f"(n * {a} + {b}) % {_PRIME}"
    return f"(({first} * (({first}) % 65521 + n % 8191)) % {_PRIME} % {bound})"


def _rows(count: int) -> str:
    return (
        f"(WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter "
        f"WHERE n < {count}) SELECT n FROM counter)"
    )


def check(path: Path, sql: str) -> tuple[list[Any], float, bool]:
    """(rows, seconds, determinate): determinate if a run in reverse scan order gives the same."""
    results = []
    for reverse in ("OFF", "ON"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute(f"PRAGMA reverse_unordered_selects={reverse}")
            start = time.perf_counter()
            results.append((connection.execute(sql).fetchall(), time.perf_counter() - start))
    (rows, seconds), (again, _) = results
    return rows, seconds, sorted(rows, key=repr) == sorted(again, key=repr)


def main() -> None:
    """Build, then check if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--check", action="store_true", help="time every gold, both scan orders")
    given = parser.parse_args()
    for db_id in db_ids():
        start = time.monotonic()
        path = build(given.folder, db_id, scale=given.scale, seed=given.seed)
        took = time.monotonic() - start
        print(f"{db_id}: {path.stat().st_size / 1e6:.0f} MB in {took:.1f} s", flush=True)
    for row in json.loads(QUESTIONS.read_text()) if given.check else []:
        path = build(given.folder, row["db_id"])
        rows, seconds, same = check(path, row["SQL"])
        word = "ok" if same and rows else "NOT DETERMINATE" if rows else "EMPTY"
        print(f"{row['question_id']} {row['db_id']} {len(rows)} rows {seconds:.3f} s {word}")


if __name__ == "__main__":
    main()
