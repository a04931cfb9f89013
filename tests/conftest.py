"""Fixtures that every test file may use: a small real database and a running executor."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from service.text2sql.databases import DatabaseRegistry

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, joined DATE);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer(id),
    amount REAL,
    note TEXT
);
INSERT INTO customer VALUES
    (1, 'Ada', 'Paris', '2024-01-05'), (2, 'Bob', 'Rome', '2024-02-01'),
    (3, 'Cleo', NULL, '2024-02-01'), (4, 'Dan', 'Rome', '2025-07-30');
INSERT INTO orders VALUES
    (1, 1, 10.0, 'gift'), (2, 1, 25.5, NULL), (3, 2, 10.0, NULL), (4, 4, 7.25, 'late');
"""


@pytest.fixture
def make_database(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write `<tmp>/data/<db_id>/<db_id>.sqlite` from a script."""

    def make(db_id: str, script: str) -> Path:
        path = tmp_path / "data" / db_id / f"{db_id}.sqlite"
        path.parent.mkdir(parents=True)
        connection = sqlite3.connect(path)
        connection.executescript(script)
        connection.close()
        return path

    return make


@pytest.fixture
def shop(make_database: Callable[[str, str], Path]) -> Path:
    """A database of two tables and eight rows."""
    return make_database("shop", SHOP)


@pytest.fixture
def registry(shop: Path) -> DatabaseRegistry:
    """A registry that knows `shop`."""
    return DatabaseRegistry.scan([shop.parents[1]])
