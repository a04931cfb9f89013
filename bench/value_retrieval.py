"""How many of the values that gold queries name are found from question and evidence alone.

    python -m bench.value_retrieval FILE... [--limit 10] [--misses 20] [--spoil lower|typo]

FILE holds questions in BIRD's format, its databases lie below the same folder. Counted are string
literals that gold compares with a column (gold_literals.py) and that stand in that column. One is
found where a match has the same column and the very same value. `verbatim` literals stand in the
question or evidence letter by letter, `reworded` ones do not (another case, a plural, a synonym).
Noise is the number of matches a question gets, and that of questions whose gold names no value.
`--spoil` writes each verbatim literal of five or more letters and no digit in small letters, or
leaves out one letter of it (the third), and asks for those questions only.
"""

import argparse
import asyncio
import json
import re
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.figures import percentile
from bench.gold_literals import GoldLiteral, gold_literals
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.questions import Question, read_questions
from service.text2sql.schema import SchemaCache
from service.text2sql.values.index import ValueIndexes


def main() -> None:
    """Print one line of figures for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--misses", type=int, default=0, help="print so many that were not found")
    parser.add_argument("--spoil", choices=sorted(_SPOIL))
    given = parser.parse_args()
    for file in given.files:
        print(json.dumps(asyncio.run(measure(file, given.limit, given.misses, given.spoil))))


async def measure(
    file: Path, limit: int, misses: int = 0, spoil: str | None = None
) -> dict[str, Any]:
    """The figures of one file of questions."""
    registry = DatabaseRegistry.scan([file.parent])
    with tempfile.TemporaryDirectory() as home:
        async with Executor(workers=1, limits=Limits()) as executor:
            run = _Run(registry, executor, Path(home), limit, misses)
            run.spoil = spoil
            for question in read_questions(file):
                await run.question(question)
    return {"file": file.name, "of": file.parent.name, **run.figures()}


class _Run:
    def __init__(
        self,
        registry: DatabaseRegistry,
        executor: Executor,
        home: Path,
        limit: int,
        misses: int,
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._indexes = ValueIndexes(home, home, wait_s=600)
        self._schemas = SchemaCache(size=1000)
        self._limit = limit
        self._misses = misses
        self.spoil: str | None = None
        self._counts: Counter[str] = Counter()
        self._matches: list[int] = []
        self._idle: list[int] = []
        self._ms: list[float] = []

    async def question(self, question: Question) -> None:
        """Ask once and count."""
        database, sha256 = await self._registry.look(question.db_id)
        schema = await self._schemas.get(self._executor, database, sha256)
        of = (self._executor, database, sha256, schema)
        literals = gold_literals(question.gold_sql, schema)
        text = f"{question.question}\n{question.evidence}"
        if self.spoil:
            text, literals = spoiled(text, literals, _SPOIL[self.spoil])
            if not literals:
                return
        await self._indexes.find(*of, "", limit=self._limit)  # so that the next one is warm
        start = time.perf_counter()
        matches = await self._indexes.find(*of, text, limit=self._limit)
        self._ms.append((time.perf_counter() - start) * 1000)
        self._matches.append(len(matches))
        if not literals:
            self._idle.append(len(matches))
        found = {GoldLiteral(m.table, m.column, m.value) for m in matches}
        for literal in literals:
            if _stands(database.path, literal):
                self._count(text, literal, found)
            else:
                self._counts["not in the database"] += 1

    def _count(self, text: str, literal: GoldLiteral, found: set[GoldLiteral]) -> None:
        kind = "verbatim" if _whole(literal.value).search(text) else "reworded"
        self._counts[kind] += 1
        self._counts[f"{kind} found"] += literal in found
        self._counts[f"{kind} in any column"] += literal.value in {f.value for f in found}
        if literal not in found and self._misses > 0:
            self._misses -= 1
            print(f"missed {kind}: {literal} in {text!r}; found {sorted(found)}")

    def figures(self) -> dict[str, Any]:
        """Recall of both kinds, noise, and time of a warm question in milliseconds."""
        shares = {
            kind: {
                "literals": self._counts[kind],
                "found": _share(self._counts[f"{kind} found"], self._counts[kind]),
                "in_any_column": _share(self._counts[f"{kind} in any column"], self._counts[kind]),
            }
            for kind in ("verbatim", "reworded")
        }
        return {
            "questions": len(self._matches),
            **shares,
            "not_in_database": self._counts["not in the database"],
            "matches_a_question": round(statistics.fmean(self._matches or [0]), 2),
            "matches_without_literal": round(statistics.fmean(self._idle or [0]), 2),
            "ms_median": round(statistics.median(self._ms), 2),
            "ms_p95": round(percentile(self._ms, 0.95), 2),
        }


_SPOIL: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "typo": lambda value: value[:2] + value[3:],
}


def spoiled(
    text: str, literals: set[GoldLiteral], change: Callable[[str], str]
) -> tuple[str, set[GoldLiteral]]:
    """The text with its verbatim literals changed, and those literals."""
    changed = set()
    for literal in sorted(literals):
        letters = sum(map(str.isalpha, literal.value)), any(map(str.isdigit, literal.value))
        if letters[0] >= 5 and not letters[1] and (whole := _whole(literal.value)).search(text):
            changed.add(literal)
            text = whole.sub(lambda match: change(match.group()), text)
    return text, changed


def _whole(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _stands(path: Path, literal: GoldLiteral) -> bool:
    names = ['"' + name.replace('"', '""') + '"' for name in literal[:2]]
    sql = f"SELECT 1 FROM {names[0]} WHERE typeof({names[1]}) = 'text' AND {names[1]} = ?"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        return db.execute(sql, (literal.value,)).fetchone() is not None


if __name__ == "__main__":
    main()
