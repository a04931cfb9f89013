"""Stores for tests: a SQLite file, and a PostgreSQL server of our own where one is installed."""

import importlib.util
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.fixtures_postgres import Postgres, missing, postgres


@pytest.fixture(scope="session")
def store_server() -> Iterator[Postgres]:
    """A PostgreSQL server that ends with the tests."""
    skip_without_postgresql()
    with postgres() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """The same for one test, which may stop it."""
    skip_without_postgresql()
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Addresses for VERISQL_STORE_URL, each of a place where nothing is yet."""
    if request.param == "sqlite":
        made = count()
        return lambda: f"sqlite+aiosqlite:///{tmp_path / f'store{next(made)}.db'}"
    server: Postgres = request.getfixturevalue("store_server")
    return server.new_database


@pytest.fixture
def store_url(new_store_url: Callable[[], str]) -> str:
    """One of them."""
    return new_store_url()


def sqlite_at(folder: Path) -> str:
    """The address of a file in `folder`."""
    return f"sqlite+aiosqlite:///{folder / 'store.db'}"


def skip_without_postgresql() -> None:
    """Skip, by name, where there can be no server or no driver."""
    if reason := missing():
        pytest.skip(reason)
    if importlib.util.find_spec("asyncpg") is None:
        pytest.skip("PostgreSQL: no package asyncpg here")
