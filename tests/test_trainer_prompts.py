"""The same question gets the same prompt in training and from POST /generate."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.sandbox.limits import Limits
from service.settings import load_settings
from service.text2sql.prompt import Template
from service.text2sql.questions import Question
from service.text2sql.values.index import ValueIndexes
from tests.conftest import SHOP
from tests.fixtures_engine import EngineDouble
from trainer.dataset import Messages, Row, prepare
from trainer.verifier_thread import VerifierThread

GOLD = "SELECT count(*) FROM customer"
ASKED = [
    Question("1", "shop", "How many customers live in Rome?", GOLD),
    Question("2", "shop", "What did Ada buy as a gfit?", GOLD, "late means note = 'late'"),
    Question("3", "shop", "How many customers are there?", GOLD),
]
DESCRIBED = "original_column_name,column_name,column_description\ncity,city,where they live\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home and a data folder with one database in BIRD's layout."""
    root = tmp_path_factory.mktemp("prompts")
    folder = root / "data" / "shop"
    (folder / "database_description").mkdir(parents=True)
    (folder / "database_description" / "customer.csv").write_text(DESCRIBED)
    with closing(sqlite3.connect(folder / "shop.sqlite")) as connection:
        connection.executescript(SHOP)
    return root


@pytest.fixture(scope="module")
def serving(root: Path) -> Iterator[TestClient]:
    """The app with a model server that is ready."""
    with EngineDouble("SELECT 1") as double:
        settings = load_settings(
            home=root / "home", data_dir=str(root / "data"), engine_url=double.url, workers=1
        )
        with TestClient(create_app(settings)) as client:
            deadline = time.monotonic() + 30
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline
            yield client


def trained_on(root: Path, home: Path, template: str, *, values: bool) -> list[Row]:
    def length(messages: Messages) -> int:
        return len(json.dumps(messages)) // 4

    indexes = ValueIndexes(home, home / "indexes", wait_s=600.0) if values else None
    with VerifierThread([root / "data"], workers=2, limits=Limits()) as verifier:
        limit = 10_000
        return prepare(
            ASKED, verifier, length, limit, Template.parse(template), values=indexes
        ).rows


@pytest.mark.parametrize("template", ["ddl+examples+descriptions", "m_schema", "light+examples"])
@pytest.mark.parametrize("values", [True, False])
def test_training_and_serving_build_the_same_prompt(
    root: Path, serving: TestClient, tmp_path: Path, template: str, values: bool
) -> None:
    rows = trained_on(root, tmp_path / "home", template, values=values)
    for row, asked in zip(rows, ASKED, strict=True):
        body = {"db_id": "shop", "question": asked.question, "evidence": asked.evidence}
        chosen = {"template": template, "values": values, "debug": True, "verified": False}
        answer = serving.post("/generate", json=body | chosen).json()
        assert row.prompt == answer["debug"]["messages"]
        assert row.prompt_sha256 == answer["prompt_sha256"]


def test_values_that_the_question_names_are_in_the_prompt(root: Path, tmp_path: Path) -> None:
    said = [row.prompt[-1]["content"] for row in trained_on(root, tmp_path, "ddl", values=True)]
    assert "customer.city = 'Rome'" in said[0]
    assert "orders.note = " in said[1]
    assert "Values in the database" not in said[2]
