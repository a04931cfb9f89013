"""How long a large index of values takes to make, to load and to ask.

    python -m bench.value_speed [--values 100000] [--questions 300]

The database is made of random words by a fixed seed: six tables, two text columns each, values of
one to four words. Half of the questions name a value, half of those with a letter left out.
Milliseconds of a question are processor time of this process, others run beside it.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from bench.figures import percentile
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.schema import read_schema
from service.text2sql.values.index import ValueIndexes

_TABLES = 6
_SYLLABLES = "an ber co dra el fin gor ha is jo ka lum mi nor os per qui ra sto tan ul ver".split()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.values, given.questions))))


async def measure(values: int, questions: int) -> dict[str, Any]:
    """Seconds and megabytes of one index, milliseconds of a question."""
    dice = Random(1)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        named = _build(home / "data" / "big" / "big.sqlite", values, dice)
        texts = [_question(dice, named) for _ in range(questions)]
        database, sha256 = await DatabaseRegistry.scan([home / "data"]).look("big")
        async with Executor(workers=1, limits=Limits()) as executor:
            of = (executor, database, sha256, await read_schema(executor, database))
            made, loaded = (ValueIndexes(home, wait_s=600) for _ in range(2))
            seconds = []
            for indexes in (made, loaded):
                start = time.perf_counter()
                await indexes.find(*of, "")
                seconds.append(round(time.perf_counter() - start, 3))
            ms = []
            for text in texts:
                start = time.process_time()
                await loaded.find(*of, text)
                ms.append((time.process_time() - start) * 1000)
        report = made.report(database, sha256)
        size = database.path.with_suffix(".values-index").stat().st_size
    return {
        "values": report.values if report else 0,
        "made_s": seconds[0],
        "loaded_s": seconds[1],
        "file_mb": round(size / 1e6, 2),
        "question_ms": {
            "median": round(statistics.median(ms), 2),
            "p95": round(percentile(ms, 0.95), 2),
        },
    }


def _build(path: Path, values: int, dice: Random) -> list[str]:
    words = ["".join(dice.choices(_SYLLABLES, k=dice.randint(2, 4))) for _ in range(20_000)]
    made = [" ".join(dice.choices(words, k=dice.randint(1, 4))) for _ in range(values)]
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        for number in range(_TABLES):
            db.execute(f"CREATE TABLE t{number} (name TEXT, place TEXT)")
            mine = made[number::_TABLES]
            pairs = zip(mine[::2], mine[1::2], strict=False)
            db.executemany(f"INSERT INTO t{number} VALUES (?, ?)", pairs)
        db.commit()
    return made


def _question(dice: Random, named: list[str]) -> str:
    value = dice.choice(named)
    said = dice.choice([value, value[:2] + value[3:], "everybody", "the oldest of them"])
    return f"What are the names and the ages of all people who were seen with {said} last year?"


if __name__ == "__main__":
    main()
