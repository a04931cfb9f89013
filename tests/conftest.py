"""Fixtures that every test file may use: a small real database and a running executor."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings, load_settings
from service.text2sql.databases import DatabaseRegistry

pytest_plugins = [
    "tests.fixtures_engine",
    "tests.fixtures_eval",
    "tests.fixtures_openai",
    "tests.fixtures_adapters",
    "tests.launcher_places",
    "tests.fixtures_stores",
    "tests.fixtures_supervisor",
    "tests.fixtures_ray",
    "tests.fixtures_disk",
    "tests.kubernetes_place",
]

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


@pytest.fixture(scope="module")
def app_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A reward service without a model, with `shop` beside the demo database."""
    root = tmp_path_factory.mktemp("app")
    path = root / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    return load_settings(
        home=root / "home",
        data_dir=str(root / "data"),
        engine="off",
        workers=2,
        query_timeout_s=2.0,
        gold_timeout_s=2.0,
        max_predictions=50,
        max_request_mb=3,
        max_question_chars=1000,
    )


@pytest.fixture(scope="module")
def client(app_settings: Settings) -> Iterator[TestClient]:
    """The real app, started, spoken to in process."""
    with TestClient(create_app(app_settings), raise_server_exceptions=False) as started:
        yield started
