"""The loop as its users see it: ask, correct, ask again."""

from fastapi.testclient import TestClient

from tests.fixtures_engine import EngineDouble
from tests.test_api_generate import asking, double, says

__all__ = ["asking", "double", "says"]

RIGHT = "SELECT name FROM customer WHERE city = 'Paris'"


def test_a_corrected_answer_is_the_answer_from_then_on(
    asking: TestClient, says: EngineDouble
) -> None:
    ask = {"question": "Which customers live in Paris?", "db_id": "shop"}
    first = asking.post("/generate", json=ask).json()
    assert not first["verified"]
    given = {"request_id": first["request_id"], "rating": "negative", "sql": RIGHT}
    told = asking.post("/feedback", json=given)
    assert told.status_code == 200, told.text
    asked = len(says.requests)
    again = asking.post("/generate", json=ask | {"execute": True}).json()
    assert (again["verified"], again["sql"]) == (True, RIGHT)
    assert again["verified_query_id"] == told.json()["verified_query"]["id"]
    assert again["result"]["rows"] == [["Ada"]]
    assert len(says.requests) == asked
    unverified = asking.post("/generate", json=ask | {"verified": False}).json()
    assert (unverified["verified"], unverified["sql"]) == (False, first["sql"])
