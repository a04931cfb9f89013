"""The same tables in DuckDB, and rows as one can compare them across engines."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from service.text2sql.schema import Schema


def duck(database: Path, schema: Schema) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the rows of a SQLite file."""
    target = duckdb.connect()
    source = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    source.text_factory = lambda raw: raw.decode("utf-8", "replace")
    for table in schema.tables:
        columns = ", ".join(f'"{c.name}" {_type(c.type)}' for c in table.columns)
        target.execute(f'CREATE TABLE "{table.name}" ({columns})')
        rows = source.execute(f'SELECT * FROM "{table.name}"').fetchall()
        if rows:
            places = ", ".join("?" * len(table.columns))
            target.executemany(f'INSERT INTO "{table.name}" VALUES ({places})', rows)
    source.close()
    return target


def _type(declared: str) -> str:
    if "INT" in declared.upper():
        return "BIGINT"
    is_text = any(word in declared.upper() for word in ("CHAR", "TEXT", "CLOB", "DATE", "TIME"))
    return "VARCHAR" if is_text or not declared else "DOUBLE"


def bag(rows: Sequence[Sequence[Any]]) -> Counter[tuple[Any, ...]]:
    """The rows with their counts: numbers by nine digits, truth as 0 and 1."""
    return Counter(tuple(_plain(value) for value in row) for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | Decimal):
        return float(f"{float(value):.9g}")
    return value if value is None or isinstance(value, bytes) else str(value)
