"""`robust` through the API: what only this database makes equal is found, and earns nothing."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings

GOLD = "SELECT count(*) FROM customer"
SAME = "SELECT count(id) FROM customer"
WRONG = "SELECT count(*) FROM orders"
ROMANS = "SELECT name FROM customer WHERE city = 'Rome'"


def _post(client: TestClient, *predictions: str, gold: Any = GOLD, **rest: Any) -> Any:
    body = {"db_id": "shop", "gold_sql": gold, "predictions": predictions}
    return client.post("/verify", json=body | {"robust": {"instances": 4}} | rest)


def _verdicts(client: TestClient, *predictions: str, **rest: Any) -> list[Any]:
    answer = _post(client, *predictions, **rest)
    assert answer.status_code == 200, answer.text
    verdicts: list[Any] = answer.json()["verdicts"]
    return verdicts


def test_a_coincidence_is_a_mismatch_and_an_equivalent_query_stays(client: TestClient) -> None:
    same, wrong, other = _verdicts(client, SAME, WRONG, "SELECT 5")
    assert (same["status"], same["reward"], same["flags"]) == ("match", 1.0, [])
    assert same["robust"]["held"] == same["robust"]["usable"] > 0
    assert same["robust"]["counterexample"] is None
    assert (wrong["status"], wrong["reward"], wrong["masked"]) == ("mismatch", 0.0, False)
    assert wrong["flags"] == ["coincidence"]
    assert "by coincidence" in wrong["message"]
    assert wrong["robust"]["counterexample"]
    assert wrong["robust"]["held"] < wrong["robust"]["usable"] <= wrong["robust"]["instances"] == 4
    assert (other["status"], other["robust"]) == ("mismatch", None)


def test_without_robust_the_coincidence_is_a_match(client: TestClient) -> None:
    [verdict] = _verdicts(client, WRONG, robust=None)
    assert (verdict["status"], verdict["flags"], verdict["robust"]) == ("match", [], None)


def test_no_weight_pays_for_a_coincidence(client: TestClient) -> None:
    weights = {"bird_ex": 4.0, "strict": 2.0, "match": 1.0, "executable": 0.5}
    metrics = ["bird_ex", "strict"]
    same, wrong = _verdicts(client, SAME, WRONG, metrics=metrics, reward=weights)
    assert same["reward"] == 7.5
    assert wrong["reward"] == 0.5  # it runs
    assert wrong["components"] == {"bird_ex": 0.0, "strict": 0.0, "match": 0.0, "executable": 0.5}


def test_copies_are_built_once_and_kept_in_the_home_folder(
    client: TestClient, app_settings: Settings
) -> None:
    seed = {"robust": {"instances": 3, "seed": 77}}
    folder = app_settings.home_path / "copies"
    before = set(folder.glob("*")) if folder.is_dir() else set()
    _verdicts(client, SAME, **seed)
    [made] = set(folder.glob("*")) - before
    names = sorted(path.name for path in made.iterdir())
    assert names == ["0.sqlite", "1.sqlite", "2.sqlite", "manifest.json"]
    times = [path.stat().st_mtime_ns for path in sorted(made.iterdir())]
    _verdicts(client, SAME, WRONG, gold="SELECT count(name) FROM customer", **seed)
    assert set(folder.glob("*")) - before == {made}
    assert [path.stat().st_mtime_ns for path in sorted(made.iterdir())] == times


def test_the_second_time_the_verdict_is_kept_and_the_same(client: TestClient) -> None:
    seed = {"robust": {"instances": 4, "seed": 5}}
    first = _verdicts(client, SAME, WRONG, **seed)
    second = _verdicts(client, SAME, WRONG, **seed)
    assert [v["cached"] for v in first + second] == [False, False, True, True]
    for one, other in zip(first, second, strict=True):
        ignored = {"cached": None, "elapsed_ms": None}
        assert one | ignored == other | ignored
    assert not any(v["cached"] for v in _verdicts(client, SAME, robust={"instances": 5}))


def test_a_match_with_any_of_several_golds_may_hold(client: TestClient) -> None:
    golds = [ROMANS, "SELECT nme FROM customer", GOLD]
    right = "SELECT c.name FROM customer c WHERE 'Rome' = c.city"
    by_data = "SELECT name FROM customer WHERE id IN (2, 4)"
    found = _verdicts(client, right, SAME, by_data, WRONG, gold=golds)
    assert [v["status"] for v in found] == ["match", "match", "mismatch", "mismatch"]
    assert [v["flags"] for v in found] == [[], [], ["coincidence"], ["coincidence"]]


@pytest.mark.parametrize("metric", ["spider_exec", "strict", "bird_soft_f1", "spider2_lite"])
def test_the_first_metric_is_what_must_hold(client: TestClient, metric: str) -> None:
    metrics = [metric, "bird_ex"]
    same, wrong = _verdicts(client, SAME, WRONG, metrics=metrics)
    assert (same["status"], same["flags"]) == ("match", [])
    assert (wrong["status"], wrong["flags"]) == ("mismatch", ["coincidence"])


def test_spider_holds_on_its_own_text(client: TestClient) -> None:
    gold, once = "SELECT city FROM customer WHERE id = 2", "SELECT DISTINCT city FROM customer"
    found = _verdicts(
        client,
        f"{once} WHERE id = 2; SELECT 1",
        "SELECT city FROM customer WHERE name = 'Bob'",
        gold=gold,
        metrics=["spider_exec"],
    )
    assert [v["status"] for v in found] == ["match", "mismatch"]


def test_a_failure_is_a_failure_and_a_bad_gold_masks(client: TestClient) -> None:
    [failed] = _verdicts(client, "SELECT nme FROM customer")
    assert (failed["status"], failed["robust"]) == ("exec_error", None)
    [masked] = _verdicts(client, SAME, gold="SELECT nme FROM customer")
    assert (masked["status"], masked["reward"]) == ("gold_error", None)


@pytest.mark.parametrize(
    "robust", [{"instances": 0}, {"instances": 65}, {"seed": -1}, {"seed": 2**31}, {"copies": 3}, 8]
)
def test_what_is_out_of_bounds_is_refused(client: TestClient, robust: Any) -> None:
    answer = _post(client, SAME, robust=robust)
    assert answer.status_code == 422
    assert "robust" in answer.text


def test_the_database_itself_is_left_as_it_was(client: TestClient, app_settings: Settings) -> None:
    path = Path(app_settings.data_dir) / "shop" / "shop.sqlite"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    _verdicts(client, WRONG, robust={"instances": 2, "seed": 9})
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [each.name for each in path.parent.iterdir()] == ["shop.sqlite"]
