"""Models through the real app, with a model server double that takes adapters."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from tests.fixtures_adapters import tiny_adapter
from tests.fixtures_engine import PROMPT_TOKENS, EngineDouble
from tests.fixtures_promote import recorded
from tests.test_api_errors import check_error

ASK = {"question": "Who lives in Rome?", "db_id": "shop"}
GOOD = "```sql\nSELECT count(*) FROM store\n```"
BAD_SQL = "```sql\nSELECT nothing FROM nowhere\n```"
NO_SQL = "the the the the"


def says(bad: dict[str, str]) -> Callable[[dict[str, Any], int], str]:
    """What each model answers: by the adapter's name, all others answer well."""

    def text(body: dict[str, Any], _index: int) -> str:
        asked = f"\n-- {len(body['messages'][-1]['content'])}"
        return bad.get(body["model"].partition("@")[0], GOOD.replace("\n```", f"{asked}\n```"))

    return text


@pytest.fixture
def double() -> Iterator[EngineDouble]:
    with EngineDouble(says({"broken": BAD_SQL, "mute": NO_SQL})) as started:
        started.adapters = {}
        yield started


@pytest.fixture
def home(shop: Path) -> Path:
    """A home with adapters to register, and `shop` to ask about."""
    home = shop.parents[2] / "home"
    for seed, name in enumerate(("one", "two", "three", "four", "broken", "mute")):
        tiny_adapter(home / "adapters" / name, seed=seed)
    return home


@contextmanager
def serving(home: Path, *urls: str, **settings: Any) -> Iterator[TestClient]:
    """The app with doubles as its engine, ready."""
    chosen = load_settings(
        home=home,
        data_dir=str(home.parent / "data"),
        engine_url=",".join(urls),
        workers=1,
        **settings,
    )
    with TestClient(create_app(chosen), raise_server_exceptions=False) as client:
        deadline = time.monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
        yield client


@pytest.fixture
def client(home: Path, double: EngineDouble) -> Iterator[TestClient]:
    with serving(home, double.url) as started:
        yield started


def register(client: TestClient, name: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/models", json={"name": name} | more)
    assert answer.status_code == 201, answer.text
    item: dict[str, Any] = answer.json()
    return item


def activate(client: TestClient, name: str) -> dict[str, Any]:
    answer = client.post(f"/models/{name}/activate")
    assert answer.status_code == 200, answer.text
    outcome: dict[str, Any] = answer.json()
    return outcome


def states(client: TestClient) -> dict[str, str]:
    return {item["name"]: item["state"] for item in client.get("/models").json()["data"]}


def answered_by(client: TestClient, **more: Any) -> str | None:
    answer = client.post("/generate", json=ASK | more)
    assert answer.status_code == 200, answer.text
    adapter: str | None = answer.json()["model"]["adapter"]
    return adapter


def test_the_base_is_live_until_an_adapter_is(client: TestClient) -> None:
    (base,) = client.get("/models").json()["data"]
    assert (base["name"], base["served_name"], base["state"]) == ("base", "double", "live")
    assert (base["adapter"], base["lineage"]) == (False, {})
    assert answered_by(client) is None


def test_an_adapter_is_registered_tried_and_live(client: TestClient, double: EngineDouble) -> None:
    one = register(client, "one", metadata={"spec_sha256": "s", "metrics": {"reward": 0.5}})
    assert one["state"] == "registered"
    assert one["lineage"]["spec_sha256"] == "s"
    assert one["served_name"] == f"one@{one['revision'][:12]}"
    assert double.adapters == {}
    outcome = activate(client, "one")
    assert (outcome["live"], outcome["previous"]) == (one["served_name"], "base")
    names = [check["name"] for check in outcome["checks"]]
    assert names == "loads answers_with_sql executable mean_logprob different_answers".split()
    assert all(check["passed"] for check in outcome["checks"])
    assert double.adapters
    assert list(double.adapters) == [one["served_name"]]
    assert states(client) == {"base": "loaded", "one": "live"}
    assert answered_by(client) == one["served_name"]
    assert answered_by(client, model="base") is None
    assert answered_by(client, model="double") is None
    assert answered_by(client, model="one") == answered_by(client, model=one["served_name"])


def test_a_model_that_nobody_serves_is_named_with_those_that_are(client: TestClient) -> None:
    one = register(client, "one")
    activate(client, "one")
    register(client, "two")
    for name in ("two", "nobody"):
        answer = client.post("/generate", json=ASK | {"model": name})
        message = check_error(answer, 404, "unknown_model", "model")
        assert f"served: double, {one['served_name']}" in message
    check_error(client.post("/models/nobody/activate"), 404, "unknown_model", "name")
    check_error(client.delete("/models/nobody"), 404, "unknown_model", "name")


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        ("broken", {"executable", "different_answers"}),
        ("mute", {"answers_with_sql", "executable", "different_answers"}),
    ],
)
def test_one_that_fails_its_trial_is_unloaded_and_the_live_one_stays(
    client: TestClient, double: EngineDouble, name: str, failed: set[str]
) -> None:
    one = register(client, "one")
    activate(client, "one")
    register(client, name)
    answer = client.post(f"/models/{name}/activate")
    body = answer.json()
    assert answer.status_code == 409
    assert body["error"]["code"] == "canary_failed"
    assert {c["name"] for c in body["outcome"]["checks"] if not c["passed"]} == failed
    assert (body["outcome"]["activated"], body["outcome"]["live"]) == (False, one["served_name"])
    assert double.adapters
    assert list(double.adapters) == [one["served_name"]]
    assert states(client) == {"base": "loaded", "one": "live", name: "failed"}
    (item,) = (i for i in client.get("/models").json()["data"] if i["name"] == name)
    assert "executable" in item["why"]
    assert answered_by(client) == one["served_name"]


def test_a_model_that_is_unsure_of_every_token_fails(
    client: TestClient, double: EngineDouble
) -> None:
    register(client, "one")
    for logprob, detail in ((-9.0, "-9, must be -4"), (float("nan"), "")):
        double.logprob = logprob
        answer = client.post("/models/one/activate")
        assert answer.status_code == 409
        assert detail in answer.json()["error"]["message"]
    assert states(client) == {"base": "live", "one": "failed"}


def record(client: TestClient, home: Path, name: str, text: str) -> dict[str, dict[str, Any]]:
    """The checks of an adapter with that canary.json, by name."""
    (home / "adapters" / name / "canary.json").write_text(text)
    register(client, name)
    answer = client.post(f"/models/{name}/activate").json()
    return {check["name"]: check for check in answer.get("outcome", answer)["checks"]}


def canary(*items: dict[str, Any]) -> str:
    return json.dumps({"items": items})


def test_the_trainers_record_is_compared_token_by_token(client: TestClient, home: Path) -> None:
    near = record(client, home, "one", canary(recorded(-0.48, -0.5), recorded(-0.54)))
    assert near["trainer_prompt"]["passed"]
    assert near["trainer_logprob"]["passed"]
    assert near["trainer_logprob"]["value"] == pytest.approx(0.02)
    assert near["trainer_logprob"]["limit"] == 0.1
    assert near["trainer_logprob"]["detail"].endswith("the largest is 0.04")
    # The means are equal, the tokens are not.
    far = record(client, home, "two", canary(recorded(-0.1, -0.9)))
    assert not far["trainer_logprob"]["passed"]
    assert far["trainer_logprob"]["value"] == pytest.approx(0.4)


def test_a_token_that_the_server_would_hardly_say_does_not_pass(
    client: TestClient, home: Path
) -> None:
    odd = recorded(-0.5) | {"tokens": [99]}
    found = record(client, home, "one", canary(odd))["trainer_logprob"]
    assert (found["passed"], found["value"]) == (False, None)


def test_another_chat_template_is_seen(client: TestClient, home: Path) -> None:
    other = recorded(-0.5) | {"prompt_tokens": [1, 2, 3]}
    checks = record(client, home, "one", canary(recorded(-0.5), other))
    assert (checks["trainer_prompt"]["passed"], checks["trainer_prompt"]["value"]) == (False, 1)
    assert checks["trainer_logprob"]["passed"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"items": []}', "items: List should have at least 1 item"),
        ("{", "Invalid JSON"),
        (canary(recorded()), "items.0.tokens: List should have at least 1 item"),
        (canary(recorded(-0.5) | {"logprobs": []}), "`logprobs` must be as many as `tokens`"),
        (canary(recorded(-0.5) | {"tokens": [-1]}), "items.0.tokens.0: Input should be greater"),
    ],
)
def test_a_record_that_is_none_does_not_pass(
    client: TestClient, home: Path, text: str, why: str
) -> None:
    found = record(client, home, "one", text)["trainer_logprob"]
    assert not found["passed"]
    assert why in found["detail"]


def test_a_server_that_tells_nothing_of_tokens_does_not_pass(
    client: TestClient, home: Path, double: EngineDouble
) -> None:
    double.scored = None
    found = record(client, home, "one", canary(recorded(-0.5)))["answers"]
    assert "no log-probabilities by token id" in found["detail"]


def test_what_is_over_the_servers_context_is_passed_over(
    client: TestClient, home: Path, double: EngineDouble
) -> None:
    def fault(body: dict[str, Any]) -> tuple[int, str] | None:
        over = len(body.get("prompt", ())) > PROMPT_TOKENS + 10
        return (400, '{"error": {"message": "maximum context length"}}') if over else None

    double.fault_for = fault
    long = recorded(*[-0.5] * 20)
    assert record(client, home, "one", canary(recorded(-0.5), long))["trainer_logprob"]["passed"]
    none = record(client, home, "two", canary(long))["trainer_logprob"]
    assert none["detail"] == "every recorded answer is over the server's context"


def test_rolling_back_is_activating_what_was_live_before(client: TestClient) -> None:
    check_error(client.post("/models/roll-back"), 409, "conflict", None)
    names = [register(client, name)["served_name"] for name in ("one", "two")]
    activate(client, "one")
    activate(client, "two")
    back = client.post("/models/roll-back").json()
    assert (back["live"], back["previous"]) == (names[0], names[1])
    assert back["checks"] == []  # It is held still: no trial stands in the way back.
    assert activate(client, "base")["live"] == "base"
    assert activate(client, "base")["checks"] == []
    assert client.post("/models/roll-back").json()["live"] == names[0]


def test_only_some_stay_loaded_the_live_one_and_the_one_before_among_them(
    home: Path, double: EngineDouble
) -> None:
    with serving(home, double.url, max_adapters=3) as client:
        for name in ("one", "two", "three", "four"):
            register(client, name)
            activate(client, name)
        assert [n.partition("@")[0] for n in double.adapters or ()] == ["three", "four"]
        assert states(client)["one"] == "registered"
        activate(client, "one")
        assert [n.partition("@")[0] for n in double.adapters or ()] == ["four", "one"]


def test_the_live_one_cannot_be_deleted_and_others_are_gone_for_good(
    client: TestClient, double: EngineDouble, home: Path
) -> None:
    for name in ("one", "two"):
        register(client, name)
        activate(client, name)
    check_error(client.delete("/models/two"), 409, "model_in_use", "name")
    assert client.delete("/models/one").status_code == 204
    assert [n.partition("@")[0] for n in double.adapters or ()] == ["two"]
    assert [path.name[:3] for path in (home / "registered").iterdir() if path.is_dir()] == ["two"]
    assert client.post("/models/roll-back").json()["live"] == "base"
    check_error(client.delete("/models/base"), 404, "unknown_model", "name")


def test_what_is_live_is_live_again_after_a_restart(home: Path, double: EngineDouble) -> None:
    with serving(home, double.url) as client:
        one = register(client, "one")["served_name"]
        activate(client, "one")
    shutil.rmtree(home / "adapters" / "one")
    double.adapters = {}
    with serving(home, double.url) as client:
        assert answered_by(client) == one
        assert list(double.adapters) == [one]
        assert states(client) == {"base": "loaded", "one": "live"}


def test_files_that_changed_are_not_served_and_readyz_says_so(
    home: Path, double: EngineDouble
) -> None:
    with serving(home, double.url) as client:
        one = register(client, "one")["served_name"]
        activate(client, "one")
    weights = home / "registered" / one / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    double.adapters = {}
    with serving(home, double.url) as client:
        assert answered_by(client) is None
        assert f"{one} was live" in client.get("/readyz").json()["checks"]["model"]["detail"]
        answer = client.post("/models/one/activate")
        assert answer.status_code == 409
        assert answer.json()["outcome"]["checks"][0]["name"] == "files"
        assert double.adapters == {}


def test_a_server_that_refuses_an_adapter_is_quoted(
    client: TestClient, double: EngineDouble
) -> None:
    register(client, "one")
    double.refuse_load = 500, '{"error": {"message": "LoRA rank 64 is greater", "code": 500}}'
    answer = client.post("/models/one/activate")
    assert answer.status_code == 409
    assert "LoRA rank 64 is greater" in answer.json()["error"]["message"]
    double.adapters = None
    message = check_error(client.post("/models/one/activate"), 409, "adapters_off", None)
    assert "--enable-lora" in message
    assert answered_by(client) is None


def test_all_servers_load_it_or_none(home: Path, double: EngineDouble) -> None:
    with EngineDouble(says({})) as second:
        second.adapters = {}
        with serving(home, double.url, second.url) as client:
            one = register(client, "one")["served_name"]
            while "2 of 2" not in client.get("/readyz").json()["checks"]["model"]["detail"]:
                time.sleep(0.02)
            second.refuse_load = 500, '{"error": {"message": "no room", "code": 500}}'
            assert client.post("/models/one/activate").status_code == 409
            assert double.adapters == second.adapters == {}
            second.refuse_load = None
            activate(client, "one")
            assert list(double.adapters or ()) == list(second.adapters) == [one]


def test_a_trial_ends_at_its_time_limit_and_only_one_runs(home: Path, double: EngineDouble) -> None:
    with serving(home, double.url, canary_timeout_s=5.0) as client:
        register(client, "one")
        register(client, "two")
        double.hang = True
        double.asked.clear()
        answers: list[Any] = []
        trial = threading.Thread(target=lambda: answers.append(client.post("/models/one/activate")))
        trial.start()
        assert double.asked.wait(10)
        busy = client.post("/models/two/activate")
        check_error(busy, 409, "activation_in_progress", None)
        trial.join()
        double.hang = False
        assert answers[0].status_code == 409
        assert answers[0].json()["outcome"]["checks"][-1]["name"] == "time_s"
        activate(client, "two")


def test_no_request_is_dropped_while_models_are_switched(
    client: TestClient, double: EngineDouble
) -> None:
    names = {register(client, name)["served_name"] for name in ("one", "two")}
    activate(client, "one")
    stop = threading.Event()
    answers: list[tuple[int, Any]] = []

    def ask() -> None:
        while not stop.is_set():
            answer = client.post("/generate", json=ASK)
            answers.append((answer.status_code, answer.json().get("model")))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for _ in range(5):
        activate(client, "two")
        activate(client, "one")
    stop.set()
    for asker in askers:
        asker.join()
    assert answers
    assert {status for status, _ in answers} == {200}
    assert {model["adapter"] for _, model in answers} <= names
    asked = {body["model"] for body in double.requests}
    assert names <= asked


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 422, "invalid_request", "name"),
        ({"name": "one", "pth": "x"}, 422, "invalid_request", "pth"),
        ({"name": "Base"}, 422, "invalid_request", "path"),
        ({"name": "base", "path": "adapters/one"}, 422, "invalid_request", "name"),
        ({"name": "one", "path": "/etc"}, 422, "invalid_request", "path"),
        ({"name": "one", "path": "adapters/../.."}, 422, "invalid_request", "path"),
        ({"name": "one", "path": "adapters"}, 422, "adapter_rejected", "path"),
        ({"name": "one", "parent": "none"}, 404, "unknown_model", "name"),
        ({"name": "one", "metadata": {"x": "y" * 70_000}}, 413, "too_large", "metadata"),
    ],
)
def test_bad_registrations_are_refused(
    client: TestClient, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    check_error(client.post("/models", json=body), status, code, param)
    assert list(states(client)) == ["base"]
