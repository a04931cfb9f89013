"""`verisql verify FILE` against a running service: formats, results that are kept, exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.commands.prediction_file import SEPARATOR, read_predictions
from service.errors import InvalidRequest
from tests.fixtures_reward import RewardDouble, refuses
from tests.test_cli import _verisql
from tests.test_serve import Service

DB = "alpine_retail"
GOLD = "SELECT count(*) FROM store"
OTHER = "SELECT count(*) FROM product"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(tmp_path_factory.mktemp("cli_verify") / "home")
    started.wait_until_ready()
    yield started
    started.kill()


def _write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


ROWS = [
    {"db_id": DB, "gold_sql": GOLD, "predictions": [GOLD, "SELECT 8", "DROP TABLE store"]},
    {"db_id": DB, "SQL": GOLD, "prediction": "SELECT count(1) FROM store"},
    {"db_id": DB, "query": OTHER, "predicted_sql": OTHER, "question_id": 77},
    {"db_id": DB, "gold_sql": [OTHER, GOLD], "completion": None, "id": "mine"},
]


@pytest.mark.parametrize("as_lines", [False, True])
def test_rows_of_every_kind_are_read(tmp_path: Path, as_lines: bool) -> None:
    text = "\n".join(map(json.dumps, ROWS)) if as_lines else json.dumps(ROWS)
    found = read_predictions(_write(tmp_path / "p.json", text)).groups
    assert [[p.id for p in group.predictions] for group in found] == [
        ["0.0", "0.1", "0.2", "1"], ["77"], ["mine"],
    ]  # fmt: skip
    assert [group.gold_sql for group in found] == [(GOLD,), (OTHER,), (OTHER, GOLD)]
    assert found[2].predictions[0].text == ""


def test_one_row_alone_is_a_file_and_equal_ids_are_told_apart(tmp_path: Path) -> None:
    [group] = read_predictions(_write(tmp_path / "one.jsonl", ROWS[0])).groups
    assert len(group.predictions) == 3
    twice = [{**ROWS[2], "predicted_sql": f"SELECT {n}"} for n in range(3)]
    [group] = read_predictions(_write(tmp_path / "two.json", twice)).groups
    assert [p.id for p in group.predictions] == ["77", "77#2", "77#3"]


def _questions(*ids: int) -> list[dict[str, Any]]:
    return [
        {"question_id": n, "db_id": DB, "question": "?", "SQL": GOLD if n % 2 else OTHER}
        for n in ids
    ]


def test_a_submission_is_paired_by_question_id(tmp_path: Path) -> None:
    golds = _write(tmp_path / "dev.json", _questions(5, 3, 4, 2))
    sent = {"3": f"a{SEPARATOR}{DB}", "5": "b", "4": 0, "9": f"x{SEPARATOR}{DB}"}
    file = read_predictions(_write(tmp_path / "predict.json", sent), golds)
    found = {
        group.gold_sql[0]: [(p.id, p.text) for p in group.predictions] for group in file.groups
    }
    assert found == {GOLD: [("3", "a"), ("5", "b")], OTHER: [("4", "")]}
    assert (file.unanswered, file.unknown) == (["2"], ["9"])


def test_rows_without_golds_are_paired_too(tmp_path: Path) -> None:
    golds = _write(tmp_path / "dev.json", _questions(0, 1))
    rows = [{"question_id": 1, "prediction": "a"}, {"question_id": 1, "prediction": "b"}]
    file = read_predictions(_write(tmp_path / "p.json", rows), golds)
    assert [(p.id, p.text) for p in file.groups[0].predictions] == [("1.0", "a"), ("1.1", "b")]
    assert file.unanswered == ["0"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "at least one prediction"),
        ("[]", "at least one prediction"),
        ("7", "at least one prediction"),
        ('{"db_id": "x"\n', "line 1"),
        ('{"0": "SELECT 1"}', "--gold-file"),
        ([3], "row 0: must be an object"),
        ([{"gold_sql": "x", "prediction": "y"}], "row 0: 'db_id'"),
        ([{"db_id": "x", "prediction": "y"}], "row 0: the gold"),
        ([{"db_id": "x", "gold_sql": [], "prediction": "y"}], "row 0: the gold"),
        ([{"db_id": "x", "gold_sql": " ", "prediction": "y"}], "row 0: the gold"),
        ([{"db_id": "x", "gold_sql": "y"}], "row 0: 'predictions'"),
        ([{"db_id": "x", "gold_sql": "y", "predictions": "z"}], "row 0: 'predictions'"),
        ([{"db_id": "x", "gold_sql": "y", "prediction": 7}], "row 0: 'predictions'"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_predictions(_write(tmp_path / "p.json", content))
    assert said in str(caught.value)


def test_a_submission_for_other_questions_is_refused(tmp_path: Path) -> None:
    golds = _write(tmp_path / "dev.json", _questions(1))
    sent = _write(tmp_path / "predict.json", {"1": f"a{SEPARATOR}other"})
    with pytest.raises(InvalidRequest, match="another gold file"):
        read_predictions(sent, golds)


def test_a_file_is_judged_and_a_second_run_asks_nothing(service: Service, tmp_path: Path) -> None:
    path, output = _write(tmp_path / "p.json", ROWS), tmp_path / "out.jsonl"
    options = ("--url", service.url, "--output", str(output), "--metric", "bird_ex")
    done = _verisql("verify", str(path), *options, "--metric", "strict")
    assert done.returncode == 0, done.stderr
    lines = {line["id"]: line for line in _lines(output)}
    found = {name: line["verdict"]["status"] for name, line in lines.items()}
    assert found == {
        "0.0": "match", "0.1": "mismatch", "0.2": "forbidden", "1": "match", "77": "match",
        "mine": "no_sql",
    }  # fmt: skip
    assert "mean reward 0.5000 over 6 judged" in done.stdout
    for word in ("strict", "50.0%", "forbidden"):
        assert word in done.stdout
    with RewardDouble() as double:
        again = _verisql(
            "verify", str(path), "--url", double.url, *options[2:], "--metric", "strict"
        )
    assert (again.returncode, double.requests) == (0, [])
    assert "mean reward 0.5000 over 6 judged" in again.stdout


def test_a_run_that_was_cut_short_goes_on_where_it_was(service: Service, tmp_path: Path) -> None:
    path, output = _write(tmp_path / "p.json", ROWS), tmp_path / "out.jsonl"
    options = ("verify", str(path), "--output", str(output), "--url")
    assert _verisql(*options, service.url).returncode == 0
    text = output.read_text().splitlines(keepends=True)
    output.write_text("".join(text[:3]) + text[3][:20])
    with RewardDouble() as double:
        done = _verisql(*options, double.url)
    assert sum(len(item["predictions"]) for request in double.requests for item in request) == 3
    assert (done.returncode, len(_lines(output))) == (0, 6)
    assert len({line["id"] for line in _lines(output)}) == 6


def test_results_of_another_run_are_not_mixed_in(service: Service, tmp_path: Path) -> None:
    path, output = _write(tmp_path / "p.json", ROWS[1:2]), tmp_path / "out.jsonl"
    options = ("verify", str(path), "--output", str(output), "--url", service.url)
    assert _verisql(*options).returncode == 0
    before = output.read_text()
    for more in (("--metric", "strict"), ("--extract", "auto")):
        done = _verisql(*options, *more)
        assert done.returncode == 2
        assert "another text, gold or option" in done.stderr.replace("\n", " ")
    output.write_text("what is this\n")
    assert "name another --output" in _verisql(*options).stderr
    assert before != output.read_text()


def test_masked_and_failed_ones_are_told_apart_and_asked_again(
    service: Service, tmp_path: Path
) -> None:
    rows = [
        ROWS[1],
        {"db_id": DB, "gold_sql": "SELECT x", "prediction": "SELECT 1"},
        {"db_id": "nowhere", "gold_sql": GOLD, "prediction": "SELECT 1"},
    ]
    path, output = _write(tmp_path / "p.json", rows), tmp_path / "out.jsonl"
    options = ("verify", str(path), "--output", str(output), "--url")
    done = _verisql(*options, service.url)
    assert done.returncode == 1
    for word in ("gold_error", "unknown_database", "mean reward 1.0000 over 1 judged"):
        assert word in done.stdout
    assert [line["id"] for line in _lines(output) if "error" in line] == ["2"]
    with RewardDouble() as double:
        _verisql(*options, double.url)
    [[asked]] = double.requests
    assert asked["db_id"] == "nowhere"


def test_a_submission_says_what_is_missing(service: Service, tmp_path: Path) -> None:
    golds = _write(tmp_path / "dev.json", _questions(1, 2, 3))
    sent = _write(tmp_path / "predict.json", {"1": f"{GOLD}{SEPARATOR}{DB}", "8": "SELECT 1"})
    done = _verisql("verify", str(sent), "--gold-file", str(golds), "--url", service.url)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "2 questions without a prediction, left out: 2, 3" in said
    assert "does not have: 8" in said
    assert "100.0%" in said


def test_options_go_into_every_request(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.json", ROWS)
    options = ("--extract", "auto", "--reward", '{"execution": 2}', "--robust", "3")
    with RewardDouble() as double:
        done = _verisql("verify", str(path), *options, "--timeout-s", "1.5", "--url", double.url)
    assert done.returncode == 0, done.stderr
    for item in double.requests[0]:
        assert item["extract"] == "auto"
        assert item["reward"] == {"execution": 2}
        assert item["robust"] == {"instances": 3}
        assert item["timeout_s"] == 1.5


def test_a_service_that_refuses_is_one_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.json", ROWS)
    with RewardDouble(refuses(401, "unauthorized")) as double:
        done = _verisql("verify", str(path), "--url", double.url)
    assert done.returncode == 1
    assert "unauthorized" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("SELECT 1",), "--db is missing"),
        (("SELECT 1", "--db", "x"), "--gold is missing"),
        (("nowhere.json",), "cannot be read"),
        (("nowhere.json", "--db", "x"), "leave out --db"),
        (("SELECT 1", "--db", "x", "--gold", "y", "--output", "z"), "--output needs a file"),
        (("SELECT 1", "--db", "x", "--gold", "y", "--reward", "{"), "is not JSON"),
        (("x" * 5000,), "--db is missing"),
    ],
)
def test_a_wrong_call_is_explained(arguments: tuple[str, ...], said: str) -> None:
    done = _verisql("verify", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
