"""Many groups, each with an outcome of its own, whatever happens to the others."""

import logging
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from service.api.deps import Parts, get_parts
from service.app import create_app
from service.settings import Settings
from service.text2sql.types import VerifyReport, VerifyTask
from service.text2sql.verifier import Verifier

BROKEN = "SELECT 'a fault of ours'"


class FaultyVerifier(Verifier):
    """Has a fault that one prediction brings to light."""

    async def verify(self, task: VerifyTask) -> VerifyReport:
        """The report, or an error that nobody raises on purpose."""
        if BROKEN in task.predictions:
            raise ZeroDivisionError("inside")
        return await super().verify(task)


def _faulty(parts: Parts) -> Verifier:
    return FaultyVerifier(parts.registry, parts.executor)


def _faulty_app(settings: Settings) -> TestClient:
    app = create_app(settings)

    def parts() -> Parts:
        real: Parts = app.state.parts
        return replace(real, verifier=_faulty(real))

    app.dependency_overrides[get_parts] = parts
    return TestClient(app, raise_server_exceptions=False)


def _item(sql: str) -> dict[str, object]:
    return {"db_id": "shop", "gold_sql": "SELECT 1", "predictions": [sql]}


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_an_unexpected_error_is_its_own_items_error_and_is_logged(
    app_settings: Settings, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    items = [_item("SELECT 1"), _item(BROKEN), _item("SELECT 2"), _item(BROKEN), _item("SELECT 1")]
    with _faulty_app(app_settings) as client, caplog.at_level(logging.ERROR):
        answer = client.post("/verify/batch", json={"items": items}, headers={"accept": accept})
    assert answer.status_code == 200
    codes = answer.text.count('"code":"internal_error"')
    assert (codes, answer.text.count('"status":"match"')) == (2, 2)
    assert answer.text.count('"status":"mismatch"') == 1
    assert "inside" not in answer.text
    assert "Traceback" not in answer.text
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info[0] for record in logged if record.exc_info] == [ZeroDivisionError] * 2


def test_one_request_alone_ends_in_the_same_error(app_settings: Settings) -> None:
    with _faulty_app(app_settings) as client:
        answer = client.post("/verify", json=_item(BROKEN))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
