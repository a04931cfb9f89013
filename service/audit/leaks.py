"""What a dataset shares with another one that it must not share anything with: pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from service.audit.duplicates import Rows
from service.audit.kinds import Finding
from service.audit.normal import same_gold, same_question


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a database from another: its bytes, and its tables with their columns."""

    sha256: str = ""
    schema: str = ""
    """Empty where the database cannot be read or has no tables: then it equals no other."""
    columns: frozenset[tuple[str, str]] = frozenset()
    """Table and column of each column, in lower case: what `schema` is the hash of."""


@dataclass(frozen=True, slots=True)
class Side:
    """One dataset, by its questions and its databases."""

    name: str
    rows: Rows
    identities: Mapping[str, Identity] = field(default_factory=dict)


def leaks(audited: Side, other: Side) -> Iterator[Finding]:
    """A finding for each row whose database, and for each whose question is in `other` too."""
    shared = shared_databases(audited, other)
    asked: dict[str, int] = {}
    used: dict[tuple[str, str], int] = {}
    for row, question in other.rows.items():
        asked.setdefault(same_question(question.question), row)
        for mark in _marks(question.db_id, other):
            used.setdefault((mark, same_gold(question.gold_sql)), row)
    for row, question in audited.rows.items():
        if how := shared[question.db_id]:
            yield Finding("leaked_database", row, f"in {other.name}: {how}")
        there = asked.get(same_question(question.question))
        if there is not None:
            where = _where(there, other, question.db_id)
            yield Finding("leaked_question", row, f"in {other.name}: same question as {where}")
            continue
        marks = ((mark, same_gold(question.gold_sql)) for mark in _marks(question.db_id, audited))
        there = next((used[mark] for mark in marks if mark in used), None)
        if there is not None:
            where = _where(there, other, question.db_id)
            yield Finding("leaked_question", row, f"in {other.name}: same gold as {where}")


def _db_ids(side: Side) -> set[str]:
    return {question.db_id for question in side.rows.values()}


def shared_databases(audited: Side, other: Side) -> dict[str, str]:
    """How each database is known there: by name, by content, by its tables; empty if it is not."""
    names = _db_ids(other)
    there = sorted(names, reverse=True)  # so that the first name wins
    files = {other.identities[name].sha256: name for name in there if name in other.identities}
    schemas = {other.identities[name].schema: name for name in there if name in other.identities}
    found = {}
    for db_id in _db_ids(audited):
        mine = audited.identities.get(db_id, Identity())
        if db_id in names:
            found[db_id] = f"database {db_id}"
        elif mine.sha256 and mine.sha256 in files:
            found[db_id] = f"the same file as {files[mine.sha256]}"
        elif mine.schema and mine.schema in schemas:
            found[db_id] = f"the same tables and columns as {schemas[mine.schema]}"
        else:
            found[db_id] = ""
    return found


def _marks(db_id: str, side: Side) -> list[str]:
    """What a gold's database may be recognised by."""
    schema = side.identities.get(db_id, Identity()).schema
    return [f"db {db_id}", *([f"schema {schema}"] if schema else [])]


def _where(row: int, other: Side, db_id: str) -> str:
    there = other.rows[row]
    at = f"question {there.question_id}"
    return at if there.db_id == db_id else f"{at}, on database {there.db_id}"
