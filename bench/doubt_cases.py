"""Questions with what a doubt is decided on: on their own database, on another, on an altered one.

The alterations follow AmbiQT (Bhaskar et al. 2023, arXiv 2310.13659), which makes a request
ambiguous by giving the schema a second column, or table, that fits as well.
"""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from service.generation.doubting.places import Place, mentions, places
from service.generation.doubting.vocabulary import vocabulary
from service.generation.doubting.words import tokens
from service.generation.lineage import lineage
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.questions import Question, read_questions
from service.text2sql.schema import Column, Schema, SchemaCache, Table
from service.text2sql.values.index import ValueIndexes
from service.text2sql.values.match import ValueMatch

SECOND_TABLE = "ledger"
FIRST, SECOND = "local", "foreign"


class On(NamedTuple):
    """A database as it answers one question."""

    schema: Schema
    values: Sequence[ValueMatch]


@dataclass(frozen=True, slots=True)
class Case:
    """`own` holds the answer; `other` is a database that was drawn by chance."""

    question: Question
    own: On
    other: On

    @property
    def themes_differ(self) -> bool:
        """Whether the names of the tables of the two databases share no word."""
        one, other = (vocabulary(on.schema).tables.keys() for on in (self.own, self.other))
        return not one & other


async def read_cases(file: Path, others: Path, seed: int = 7) -> list[Case]:
    """Each question on its own database and on one of those below the folder `others`."""
    registry = DatabaseRegistry.scan(list(dict.fromkeys([file.parent, others])))
    names = sorted({path.stem for path in others.rglob("*.sqlite")})
    dice = random.Random(seed)
    cases = []
    with tempfile.TemporaryDirectory() as home:
        async with Executor(workers=1, limits=Limits()) as executor:
            reader = _Reader(registry, executor, Path(home))
            for question in read_questions(file):
                text = f"{question.question}\n{question.evidence}"
                other = dice.choice([name for name in names if name != question.db_id])
                both = [await reader.on(name, text) for name in (question.db_id, other)]
                cases.append(Case(question, *both))
    return cases


class _Reader:
    def __init__(self, registry: DatabaseRegistry, executor: Executor, home: Path) -> None:
        self._registry, self._executor = registry, executor
        self._schemas = SchemaCache(size=1000)
        self._indexes = ValueIndexes(home, home, wait_s=600)

    async def on(self, db_id: str, text: str) -> On:
        """The schema of that database, and what of its values the text names."""
        database, sha256 = await self._registry.look(db_id)
        schema = await self._schemas.get(self._executor, database, sha256)
        return On(schema, await self._indexes.find(self._executor, database, sha256, schema, text))


def asked_column(case: Case) -> Place | None:
    """A column of one table only that the question calls by its whole name and the gold reads."""
    found = lineage(case.question.gold_sql, case.own.schema)
    gold = {name.casefold() for name in found.columns} if found else set()
    said = mentions(tokens(case.question.question), places(case.own.schema))
    for at in said.values():
        if len(at) == 1 and f"{at[0].table}.{at[0].column}".casefold() in gold:
            return at[0]
    return None


def with_second_column(on: On, place: Place) -> On:
    """The column becomes two: instead of `age`, `local_age` and `foreign_age`."""
    names = {half: f"{half}_{place.column}" for half in (FIRST, SECOND)}
    table = next(table for table in on.schema.tables if table.name == place.table)
    columns: list[Column] = []
    for column in table.columns:
        if column.name == place.column:
            columns += [replace(column, name=name, primary_key=0) for name in names.values()]
        else:
            columns.append(column)
    moved = [
        replace(v, column=names[FIRST]) if (v.table, v.column) == place_key(place) else v
        for v in on.values
    ]
    return On(_with(on.schema, replace(table, columns=tuple(columns))), moved)


def with_second_table(on: On, place: Place) -> On:
    """A further table that no key joins has a column of that name too."""
    column = next(
        column
        for table in on.schema.tables
        for column in table.columns
        if (table.name, column.name) == place_key(place)
    )
    key = Column("ledger_id", "INTEGER", True, 1)
    more = Table(SECOND_TABLE, "table", (key, replace(column, primary_key=0)))
    return On(replace(on.schema, tables=(*on.schema.tables, more)), on.values)


def without_column(on: On, place: Place) -> On:
    """The column is gone, and what was found in it."""
    table = next(table for table in on.schema.tables if table.name == place.table)
    columns = tuple(column for column in table.columns if column.name != place.column)
    left = [v for v in on.values if (v.table, v.column) != place_key(place)]
    return On(_with(on.schema, replace(table, columns=columns)), left)


def names_a_table(case: Case) -> bool:
    """Whether a word of the question is one of a table's name."""
    known = vocabulary(case.own.schema).tables
    return any(token.family in known for token in tokens(case.question.question))


def place_key(place: Place) -> tuple[str, str]:
    """As pairs of table and column."""
    return place.table, place.column


def _with(schema: Schema, table: Table) -> Schema:
    tables = (table if old.name == table.name else old for old in schema.tables)
    return replace(schema, tables=tuple(tables))
