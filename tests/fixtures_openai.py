"""A service on a real port with a model server that says what it is told, for OpenAI's clients."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SHOP
from tests.fixtures_engine import EngineDouble
from tests.test_serve import Service

if TYPE_CHECKING:
    from openai import OpenAI

KEY = "secret"
SHOP_MODEL = "verisql/shop"
ROME_SQL = "SELECT name FROM customer WHERE city = 'Rome'"
ROME = f"```sql\n{ROME_SQL}\n```"
LONG_S = 3600  # no test ends by this running out


@pytest.fixture(scope="session")
def openai_double() -> Iterator[EngineDouble]:
    """The model server behind `openai_service`."""
    with EngineDouble(ROME) as started:
        yield started


@pytest.fixture(scope="session")
def openai_service(
    openai_double: EngineDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The real service, with `shop` and a key."""
    root = tmp_path_factory.mktemp("openai")
    path = root / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    started = Service(
        root / "home",
        VERISQL_DATA_DIR=str(root / "data"),
        VERISQL_ENGINE="url",
        VERISQL_ENGINE_URL=openai_double.url,
        VERISQL_API_KEYS=KEY,
        VERISQL_WORKERS="1",
        VERISQL_GENERATE_TIMEOUT_S=str(LONG_S),
        VERISQL_MAX_QUESTION_CHARS="1000",
    )
    started.wait_until_ready()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def chat_client(openai_service: Service) -> "Iterator[OpenAI]":
    """OpenAI's own client; it tries nothing again."""
    from openai import OpenAI  # this file is loaded for every test; the client takes its time

    url = f"{openai_service.url}/v1"
    with OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def says(openai_double: EngineDouble) -> Iterator[EngineDouble]:
    """The double, to be told what to say for one test."""
    double = openai_double
    double.requests.clear()
    double.asked.clear()
    double.gone.clear()
    yield double
    double.text, double.logprob, double.hang, double.cached_tokens = ROME, -0.5, False, None
    double.hang_after = double.error_after = None
    double.finish_reason = "stop"
    double.fault_for = lambda body: None
