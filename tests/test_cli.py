"""The `verisql` command against a running service whose model is a double that we own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_engine import EngineDouble
from tests.test_serve import ROOT, Service

GOLD = "SELECT count(*) FROM store"


@pytest.fixture(scope="module")
def double() -> Iterator[EngineDouble]:
    with EngineDouble() as started:
        yield started


@pytest.fixture(scope="module")
def service(double: EngineDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("cli") / "home"
    started = Service(home, VERISQL_ENGINE="url", VERISQL_ENGINE_URL=double.url)
    started.wait_until_ready()
    yield started
    started.kill()


def _verisql(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def _answers(double: EngineDouble, sql: str) -> None:
    double.text = f"```sql\n{sql}\n```"


def test_ask_shows_the_sql_and_its_rows(service: Service, double: EngineDouble) -> None:
    _answers(double, GOLD)
    done = _verisql("ask", "How many stores?", "--db", "alpine_retail", "--url", service.url)
    assert done.returncode == 0, done.stderr
    assert GOLD in done.stdout
    assert "│ 9 " in done.stdout
    assert "1 rows" in done.stdout


def test_ask_says_why_sql_does_not_run(service: Service, double: EngineDouble) -> None:
    _answers(double, "SELECT nothing_here FROM store")
    done = _verisql("ask", "How many stores?", "--db", "alpine_retail", "--url", service.url)
    assert done.returncode == 1
    assert "no such column: nothing_here" in done.stdout


def test_ask_shows_what_the_query_does_and_how_many_agree(
    service: Service, double: EngineDouble
) -> None:
    double.text = [GOLD, GOLD, "SELECT 1"]
    options = ("--db", "alpine_retail", "--n", "3", "--dialect", "tsql", "--url", service.url)
    done = _verisql("ask", "How many stores?", *options)
    assert done.returncode == 0, done.stderr
    assert "Counts" in done.stdout or "number of" in done.stdout
    assert "2 of 3 candidates agree" in " ".join(done.stdout.split())


def test_verify_shows_a_line_for_each_prediction(service: Service) -> None:
    predictions = (GOLD, "SELECT 1", "DROP TABLE store")
    options = ("--db", "alpine_retail", "--gold", GOLD, "--url", service.url)
    done = _verisql("verify", *predictions, *options, "--metric", "strict")
    assert done.returncode == 0, done.stderr
    for word in ("match", "mismatch", "forbidden", "strict"):
        assert word in done.stdout


def test_eval_counts_right_answers_by_difficulty(
    service: Service, double: EngineDouble, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [
        {"db_id": "alpine_retail", "question": "a", "SQL": GOLD, "difficulty": "simple"},
        {"db_id": "alpine_retail", "question": "b", "SQL": "SELECT 8", "difficulty": "simple"},
        {"db_id": "alpine_retail", "question": "c", "query": GOLD, "difficulty": "moderate"},
        {"db_id": "alpine_retail", "question": "d", "SQL": "SELECT x", "difficulty": "moderate"},
    ]
    (tmp_path / "q.json").write_text(json.dumps(rows))
    _answers(double, GOLD)
    output = str(tmp_path / "out")
    arguments = ("eval", str(tmp_path / "q.json"), "--url", service.url, "--output", output)
    done = _verisql(*arguments)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(a["name"], a["right"], a["judged"]) for a in summary["accuracy"]["bird_ex"]] == [
        ("simple", 1, 2), ("moderate", 1, 1), ("all", 2, 3),
    ]  # fmt: skip
    assert "66.7%" in done.stdout
    assert "1 left out" in done.stdout


def test_no_sql_is_not_right_though_the_gold_finds_nothing(
    service: Service, double: EngineDouble, tmp_path: Path
) -> None:
    gold = "SELECT 1 FROM store WHERE 0"
    rows = [{"db_id": "alpine_retail", "question": "a", "SQL": gold}]
    (tmp_path / "q.json").write_text(json.dumps(rows))
    arguments = ("eval", str(tmp_path / "q.json"), "--url", service.url, "--output")
    found = []
    for name, text in (("a", "I do not know."), ("b", f"```sql\n{gold}\n```")):
        double.text = text
        assert _verisql(*arguments, str(tmp_path / name)).returncode == 0
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        [status] = summary["statuses"]
        found.append((status, summary["accuracy"]["bird_ex"][-1]["right"]))
    assert found == [("no_sql", 0), ("match", 1)]


def test_an_unknown_database_ends_an_evaluation(service: Service, tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('[{"db_id": "no", "question": "a", "SQL": "SELECT 1"}]')
    done = _verisql("eval", str(tmp_path / "q.json"), "--url", service.url)
    assert done.returncode == 1
    assert "unknown_database" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not valid JSON"),
        ("[]", "at least one question"),
        ('[{"db_id": "x", "question": "y"}]', "row 0: 'query' must be a text"),
        ('[{"db_id": "x", "question": " ", "SQL": "z"}]', "row 0: 'question' must be a text"),
        ("[7]", "row 0: must be an object"),
    ],
)
def test_a_bad_question_file_is_explained(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "q.json").write_text(content)
    done = _verisql("eval", str(tmp_path / "q.json"))
    assert done.returncode == 2
    assert said in done.stderr


def test_jobs_are_listed_and_a_refusal_is_one_line(service: Service) -> None:
    assert _verisql("jobs", "list", "--url", service.url).returncode == 0
    options = ("--base-model", "smollm2-135m-instruct", "--train-data", "nowhere.json")
    done = _verisql("train", *options, "--url", service.url)
    assert done.returncode == 1
    assert "unknown_dataset" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_is_not_there_is_said() -> None:
    done = _verisql("jobs", "list", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "unreachable" in done.stderr
    assert "verisql serve" in done.stderr


@pytest.mark.parametrize("command", [(), ("serve",), ("ask",), ("verify",), ("eval",), ("compare",),
                                     ("train",), ("jobs",), ("jobs", "list")])  # fmt: skip
def test_help_explains_each_command(command: tuple[str, ...]) -> None:
    done = _verisql(*command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
