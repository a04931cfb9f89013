"""Build altered copies of one database: arguments SOURCE FOLDER SEED INSTANCES MEMORY_MB.

A process of its own, started by text2sql/copies.py with a deadline; it reads a bounded sample of
the source, read-only, and writes `0.sqlite`, `1.sqlite`, ... and `manifest.json` into the folder.
The same source, seed and number give the same bytes. Standard library only.

Exit code 0, or 1 with one line on standard error.
"""

import json
import resource
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from service.sandbox.copies.infer import schema_of
from service.sandbox.copies.kinds import kind_of
from service.sandbox.copies.make import Maker
from service.sandbox.copies.parents import add_parents
from service.sandbox.copies.schema import Schema
from service.sandbox.copies.source import Row, Source, SourceTable
from service.sandbox.copies.write import Blueprint, create, write

VERSION = 1
"""Raised whenever the same source and seed give other copies."""
_CPU_S = 300
_MOST_ROWS = 300
"""A table with no more rows is read whole."""
_SEEDS = 80
"""Rows that are read of a larger one."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What was read of the source."""

    blueprint: Blueprint
    schema: Schema
    rows: dict[str, list[Row]]
    left_out: list[str]
    """Names of tables, views, indexes and triggers that copies do not have."""


def main(arguments: list[str]) -> int:
    """Build; 1 with a line on standard error where the source cannot be read."""
    source, folder, seed, instances, memory_mb = arguments
    bound = int(memory_mb) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))  # also when nobody waits any more
    try:
        build(source, Path(folder), int(seed), int(instances))
    except (sqlite3.Error, OSError, MemoryError, ValueError) as error:
        print(f"{type(error).__name__}: {str(error)[:300]}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def build(source: str, folder: Path, seed: int, instances: int) -> None:
    """Write the copies and their manifest; raises sqlite3.Error, OSError."""
    sampled = sample(source, _random(seed))
    kinds = [kind_of(instance) for instance in range(instances)]
    for instance, kind in enumerate(kinds):
        maker = Maker(sampled.schema, sampled.rows, kind, _random(seed, instance))
        path = str(folder / f"{instance}.sqlite")
        write(path, sampled.blueprint, sampled.schema, maker.rows())
    manifest = {
        "version": VERSION,
        "seed": seed,
        "kinds": [kind.name for kind in kinds],
        "left_out": sampled.left_out,
        "schema": sampled.schema.to_json(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, separators=(",", ":")))


def sample(path: str, random: Random) -> Sampled:
    """Read a bounded part of the source; raises sqlite3.Error."""
    source = Source(path)
    with closing(source.db):
        encoding = source.db.execute("PRAGMA encoding").fetchone()[0]
        blueprint, left_out = _blueprint(source, encoding)
        kinds = source.kinds()
        tables = [source.table(name, sql, kinds[name][1]) for name, sql in blueprint.tables.items()]
        for table in tables:
            source.sample(table, _SEEDS, _MOST_ROWS, random)
        views = {name: sql for name, sql in blueprint.others if kinds.get(name, ("",))[0] == "view"}
        schema = schema_of(tables, views, source.holds)
        add_parents(source, schema, {table.name: table for table in tables})
    return Sampled(blueprint, schema, _rows(tables), left_out)


def _rows(tables: list[SourceTable]) -> dict[str, list[Row]]:
    return {table.name: table.rows for table in tables}


def _blueprint(source: Source, encoding: str) -> tuple[Blueprint, list[str]]:
    """The schema's texts, without what a copy cannot have; and the names of that."""
    kinds = source.kinds()
    tables: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    left_out: list[str] = []
    for kind, name, table, sql in source.catalogue():
        if kind == "table" and kinds.get(name, ("",))[0] == "table":
            tables[name] = sql
        elif kind == "view" or (kind == "index" and table in tables):
            others.append((name, sql))
        else:
            left_out.append(name)
    with closing(sqlite3.connect(":memory:")) as trial:
        failed = create(trial, Blueprint(encoding, tables, others))
    kept = {name: sql for name, sql in tables.items() if name not in failed}
    usable = [(name, sql) for name, sql in others if name not in failed]
    return Blueprint(encoding, kept, usable), left_out + failed


def _random(*parts: int) -> Random:
    return Random("/".join(map(str, (VERSION, *parts))))  # noqa: S311 - reproducible, not secret


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
