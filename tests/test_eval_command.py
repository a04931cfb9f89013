"""`verisql eval` and `verisql compare`: the real verifier, answers that we own."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.client import ServiceError
from service.errors import Conflict, InvalidRequest
from tests.ctrl_c import VERISQL
from tests.fixtures_eval import Body, ServiceDouble
from tests.test_serve import ROOT

ALL, ROME = "SELECT name FROM customer", "SELECT name FROM customer WHERE city = 'Rome'"
ROWS: list[dict[str, Any]] = [
    {"question_id": 10, "db_id": "shop", "question": "who?", "SQL": ALL, "difficulty": "simple"},
    {"question_id": 11, "db_id": "shop", "question": "where?", "SQL": ROME, "difficulty": "hard",
     "evidence": "Rome is a city"},
    {"question_id": 12, "db_id": "shop", "question": "broken?", "SQL": "SELECT x FROM nowhere"},
    {"question_id": 13, "db_id": "shop", "question": "nothing?", "SQL": "SELECT 1 WHERE 0"},
]  # fmt: skip


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(ROWS))
    return path


def _eval(double: ServiceDouble, questions: Path, *options: str) -> Result:
    arguments = ["eval", str(questions), "--url", double.url, *options]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_run_leaves_everything_in_its_folder(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    service_double.sqls = lambda body: [ALL, ROME] if body["question"] != "nothing?" else [None]
    out = tmp_path / "run"
    done = _eval(service_double, questions, "--metric", "bird_ex", "--metric", "strict",
                 "--n", "2", "--seed", "3", "--output", str(out))  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "33.3%" in done.output
    assert "1 left out" in done.output
    assert {path.name for path in out.iterdir()} == {
        "manifest.json", "questions.jsonl", "summary.json", "report.html", "predict_dev.json",
    }  # fmt: skip
    summary = _read(out / "summary.json")
    found = [(a["name"], a["right"], a["judged"]) for a in summary["accuracy"]["strict"]]
    assert found == [("simple", 1, 1), ("hard", 0, 1), ("unrated", 0, 1), ("all", 1, 3)]
    assert summary["at_k"]["bird_ex"][0]["questions"] == 3
    assert _read(out / "predict_dev.json")["3"] == "\t----- bird -----\tshop"


def test_a_line_has_all_that_was_asked_and_answered(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    service_double.sqls = lambda body: [ROME, ALL]
    out = tmp_path / "run"
    assert _eval(service_double, questions, "--n", "2", "--output", str(out)).exit_code == 0
    [line] = [line for line in _lines(out) if line["question_id"] == "11"]
    assert (line["place"], line["evidence"], line["gold_sql"]) == (1, "Rome is a city", ROME)
    assert (line["sql"], line["status"], line["metrics"]) == (ROME, "match", {"bird_ex": 1.0})
    assert [(s["status"], s["valid"], s["votes"]) for s in line["samples"]] == [
        ("match", True, 1), ("mismatch", True, 1),
    ]  # fmt: skip
    assert line["voted"]
    assert line["trace"]["messages"] == [{"role": "user", "content": "where?"}]
    assert line["trace"]["completions"][0] == f"```sql\n{ROME}\n```"
    assert line["provenance"]["prompt_sha256"] == "hash of where?"
    assert (line["prompt_tokens"], line["completion_tokens"], line["latency_ms"]) == (10, 4, 12.5)


def test_the_manifest_says_what_the_run_was_made_with(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = ("--template", "light", "--no-values", "--seed", "3", "--output", str(out))
    assert _eval(service_double, questions, *options).exit_code == 0
    made = _read(out / "manifest.json")
    assert made["status"] == "finished"
    assert made["settings"] == {
        "metrics": ["bird_ex"], "template": "light", "values": False, "seed": 3,
    }  # fmt: skip
    assert made["answered_by"]["model"]["revision"] == "r1"
    assert made["answered_by"]["verifier_version"]
    assert len(made["databases"]["shop"]) == 64
    assert made["templates"] == {"light": 4}
    assert made["counts"] == {"answered": 4, "judged": 3, "masked": 1}
    assert made["machine"]["cores"] == os.cpu_count()
    assert made["service"]["version"]


def test_only_what_was_asked_for_is_sent(service_double: ServiceDouble, questions: Path) -> None:
    assert _eval(service_double, questions, "--limit", "1").exit_code == 0
    [plain] = service_double.asked
    assert plain.keys() == {"question", "db_id", "evidence", "debug", "verified", "remember"}
    options = "--n 3 --temperature 0.8 --no-vote --repair 2 --max-tokens 99 --no-clarify".split()
    assert _eval(service_double, questions, "--limit", "1", *options).exit_code == 0
    assert plain["remember"] is False
    told = {"n": 3, "temperature": 0.8, "vote": False, "repair": 2, "max_tokens": 99,
            "clarify": False}  # fmt: skip
    assert told.items() <= service_double.asked[-1].items()


def test_a_field_that_was_asked_for_and_is_refused_ends_the_run(
    service_double: ServiceDouble, questions: Path
) -> None:
    service_double.refuse = lambda path, body: (
        (422, "invalid_request", "unknown field 'verified'") if "verified" in body else None
    )
    assert _eval(service_double, questions).exit_code == 0
    done = _eval(service_double, questions, "--verified")
    assert isinstance(done.exception, ServiceError)
    assert "unknown field 'verified'" in str(done.exception)


def test_answers_that_are_verified_queries_are_said(
    service_double: ServiceDouble, questions: Path
) -> None:
    service_double.more = {"verified": True}
    done = _eval(service_double, questions, "--verified")
    assert service_double.asked[0]["verified"] is True
    assert "4 answers are verified queries" in done.output


def test_a_service_that_shows_no_prompts_is_asked_without(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    def refuse(path: str, body: Body) -> tuple[int, str, str] | None:
        known = next((name for name in ("debug", "verified", "remember") if name in body), None)
        return (422, "invalid_request", f"unknown field '{known}'") if known else None

    service_double.refuse = refuse
    assert _eval(service_double, questions, "--output", str(tmp_path / "run")).exit_code == 0
    assert all("messages" not in line["trace"] for line in _lines(tmp_path / "run"))


def test_a_selection_is_asked_and_the_rest_of_birds_file_is_empty(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert _eval(service_double, questions, "--sample", "2", "--output", str(out)).exit_code == 0
    assert len(service_double.asked) == 2
    answers = [text.split("\t")[0] for text in _read(out / "predict_dev.json").values()]
    assert sorted(answers) == ["", "", "SELECT 1", "SELECT 1"]


def test_birds_file_is_one_that_can_be_judged_again(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    questions.write_text(json.dumps([row | {"question_id": n} for n, row in enumerate(ROWS)]))
    service_double.sqls = lambda body: [None if body["question"] == "nothing?" else ROME]
    assert _eval(service_double, questions, "--output", str(tmp_path / "run")).exit_code == 0
    arguments = ["verify", str(tmp_path / "run" / "predict_dev.json"), "--gold-file",
                 str(questions), "--url", service_double.url]  # fmt: skip
    again = tmp_path / "again.jsonl"
    CliRunner().invoke(app, [*arguments, "--output", str(again)])
    verdicts = {
        line["id"]: line["verdict"]["status"]
        for line in map(json.loads, again.read_text().splitlines())
    }
    assert verdicts == {"0": "mismatch", "1": "match", "2": "gold_error", "3": "no_sql"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--limit", "1", "--sample", "1"), "only one may be given"),
        (("--database", "nowhere"), "no question of the file is about it; there are shop"),
    ],
)
def test_a_selection_that_cannot_be_is_explained(
    service_double: ServiceDouble, questions: Path, options: tuple[str, ...], said: str
) -> None:
    done = _eval(service_double, questions, *options)
    assert isinstance(done.exception, InvalidRequest)
    assert said in str(done.exception)


def test_a_question_over_the_models_context_is_wrong_not_left_out(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    service_double.refuse = lambda path, body: (
        (413, "too_large", "over the context") if body.get("question") == "who?" else None
    )
    out = tmp_path / "run"
    assert _eval(service_double, questions, "--limit", "1", "--output", str(out)).exit_code == 0
    [line] = _lines(out)
    assert (line["status"], line["masked"], line["message"]) == (
        "too_large", False, "over the context",
    )  # fmt: skip


def test_an_option_over_the_servers_bounds_is_not_counted_against_the_model(
    service_double: ServiceDouble, questions: Path
) -> None:
    service_double.param = "max_tokens"
    service_double.refuse = lambda path, body: (
        (413, "too_large", "max_tokens is 9000") if path == "/generate" else None
    )
    done = _eval(service_double, questions, "--max-tokens", "9000")
    assert isinstance(done.exception, ServiceError)
    assert "max_tokens is 9000" in str(done.exception)


def test_a_question_back_is_no_answer(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    service_double.sqls = lambda body: [None]
    service_double.more = {"status": "clarify", "clarification": "Which Rome?"}
    out = tmp_path / "run"
    assert _eval(service_double, questions, "--output", str(out)).exit_code == 0
    found = {line["question_id"]: (line["status"], line["message"]) for line in _lines(out)}
    assert found["11"] == ("clarify", "Which Rome?")
    assert found["12"][0] == "gold_error"
    assert _read(out / "summary.json")["accuracy"]["bird_ex"][-1]["right"] == 0


def test_an_engine_that_stays_away_ends_the_run_and_the_same_command_goes_on(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    service_double.refuse = lambda path, body: (
        (503, "engine_unavailable", "starting") if body.get("question") == "broken?" else None
    )
    out = tmp_path / "run"
    options = ("--output", str(out), "--concurrency", "1", "--deadline-s", "60")
    done = _eval(service_double, questions, *options)
    assert isinstance(done.exception, ServiceError)
    assert "question 12: not done within 60 s; last: engine_unavailable" in str(done.exception)
    assert "2 of 4 questions are answered and kept" in done.stderr
    assert _read(out / "manifest.json")["status"] == "unfinished"
    assert b"Unfinished" in (out / "report.html").read_bytes()
    service_double.refuse = lambda path, body: None
    assert _eval(service_double, questions, *options).exit_code == 0
    assert [body["question"] for body in service_double.asked] == [
        "who?", "where?", "broken?", "nothing?",
    ]  # fmt: skip
    assert [session["asked"] for session in _read(out / "manifest.json")["sessions"]] == [2, 2]


def test_a_service_without_a_model_is_not_waited_for(
    service_double: ServiceDouble, questions: Path
) -> None:
    service_double.refuse = lambda path, body: (
        (503, "engine_off", "no model here") if path == "/generate" else None
    )
    done = _eval(service_double, questions)
    assert isinstance(done.exception, ServiceError)
    assert done.exception.code == "engine_off"


def test_a_run_with_other_settings_is_not_mixed_in(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "run")
    assert _eval(service_double, questions, "--output", out, "--limit", "1").exit_code == 0
    before = (tmp_path / "run" / "questions.jsonl").read_bytes()
    done = _eval(service_double, questions, "--output", out, "--limit", "1", "--seed", "4")
    assert isinstance(done.exception, InvalidRequest)
    assert "seed was not given, is 4" in str(done.exception)
    done = _eval(service_double, questions, "--output", out, "--limit", "2")
    assert "other questions of the file are asked (1 then, 2 now)" in str(done.exception)
    assert (tmp_path / "run" / "questions.jsonl").read_bytes() == before


def test_a_finished_run_is_asked_nothing_more(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = ("--output", str(tmp_path / "run"))
    assert _eval(service_double, questions, *out).exit_code == 0
    (tmp_path / "run" / "report.html").unlink()
    done = _eval(service_double, questions, *out)
    assert done.exit_code == 0
    assert "bird_ex" in done.output
    assert len(service_double.asked) == 4
    assert (tmp_path / "run" / "report.html").exists()


def test_a_model_that_changes_under_way_ends_the_run(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = ("--output", str(tmp_path / "run"), "--concurrency", "1")

    def sqls(body: Body) -> list[str]:
        service_double.model = service_double.model | {"adapter": body["question"]}
        return [ALL]

    service_double.sqls = sqls
    done = _eval(service_double, questions, *out)
    assert isinstance(done.exception, Conflict)
    assert "the model was" in str(done.exception)
    assert len(_lines(tmp_path / "run")) == 1


def test_a_service_fault_is_asked_again_when_the_run_goes_on(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = ("--output", str(out), "--limit", "1")
    service_double.sqls = lambda body: [ALL]
    assert _eval(service_double, questions, *options).exit_code == 0
    [line] = _lines(out)
    broken = line | {"status": "infra_error", "masked": True, "retryable": True, "metrics": {}}
    (out / "questions.jsonl").write_text(json.dumps(broken) + "\n")
    assert _eval(service_double, questions, *options).exit_code == 0
    assert [line["status"] for line in _lines(out)] == ["infra_error", "match"]
    assert _read(out / "summary.json")["judged"] == 1


def test_a_run_that_is_killed_loses_no_whole_line(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = ("eval", str(questions), "--url", service_double.url, "--output", str(out),
                 "--concurrency", "1")  # fmt: skip
    service_double.sqls = lambda body: [ALL]
    service_double.hold = {"broken?"}
    process = subprocess.Popen([sys.executable, "-m", "service", *arguments], cwd=ROOT)
    _until(lambda: len(service_double.asked) == 3, process)
    locked = _eval(service_double, questions, *arguments[2:])
    assert "is being written by another evaluation" in str(locked.exception)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    service_double.go.set()
    whole = (out / "questions.jsonl").read_bytes()
    (out / "questions.jsonl").write_bytes(whole + whole[:100])
    assert _eval(service_double, questions, *arguments[2:]).exit_code == 0
    assert (out / "questions.jsonl").read_bytes().startswith(whole)
    assert [line["place"] for line in _lines(out)] == [0, 1, 2, 3]
    assert [body["question"] for body in service_double.asked[3:]] == ["broken?", "nothing?"]


def test_ctrl_c_leaves_a_report_of_what_there_is(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = ("eval", str(questions), "--url", service_double.url, "--output", str(out),
                 "--concurrency", "1")  # fmt: skip
    service_double.hold = {"broken?"}
    process = subprocess.Popen([*VERISQL, *arguments], cwd=ROOT, stderr=subprocess.PIPE)
    _until(lambda: len(service_double.asked) == 3, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode != 0
    assert "Traceback" not in said
    assert "2 of 4 questions are answered and kept" in said
    assert b"Unfinished: 2 of 4" in (out / "report.html").read_bytes()


def _until(true: Any, process: "subprocess.Popen[bytes]", timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.json", "{", "is not JSON"),
        ("manifest.json", "{}", "is no manifest of this version"),
        ("questions.jsonl", '{"a": 1}\n', "line 1: is no outcome"),
        ("questions.jsonl", "a\n", "line 1: "),
        ("manifest.json", None, "has no manifest.json beside it"),
    ],
)
def test_a_folder_with_other_content_is_left_as_it_is(
    service_double: ServiceDouble,
    questions: Path,
    tmp_path: Path,
    name: str,
    content: str | None,
    said: str,
) -> None:
    out = tmp_path / "run"
    options = ("--limit", "1", "--output", str(out))
    assert _eval(service_double, questions, *options).exit_code == 0
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_text(content)
    done = _eval(service_double, questions, *options)
    assert isinstance(done.exception, InvalidRequest)
    assert said in str(done.exception)
    assert content is None or (out / name).read_text() == content


def test_an_output_that_is_a_file_is_refused(
    service_double: ServiceDouble, questions: Path
) -> None:
    done = _eval(service_double, questions, "--output", str(questions))
    assert isinstance(done.exception, InvalidRequest)
    assert "cannot be written" in str(done.exception)


def test_an_evaluation_of_nothing_judged_says_so(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    rows = [row for row in ROWS if row["question"] == "broken?"]
    questions.write_text(json.dumps(rows))
    done = _eval(service_double, questions, "--output", str(tmp_path / "run"))
    assert done.exit_code == 0, done.output
    assert "No question could be judged" in done.output


def test_two_runs_are_compared(
    service_double: ServiceDouble, questions: Path, tmp_path: Path
) -> None:
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    for folder, sql in zip(folders, (ALL, ROME), strict=True):
        service_double.sqls = partial(_always, sql)
        assert _eval(service_double, questions, "--output", folder).exit_code == 0
    report = tmp_path / "comparison.json"
    arguments = ["compare", *folders, "--output", str(report)]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "1 right in B alone" in done.output
    assert "11 (shop, hard): where?" in done.output
    found = _read(report)
    whole = found["by_difficulty"][-1]
    assert (whole["only_a"], whole["only_b"], whole["neither"]) == (1, 1, 1)
    assert whole["mcnemar_p"] == 1.0
    assert found["only_a_right"][0]["b"] == {"sql": ROME, "status": "mismatch"}
    assert found["masked"] == 1


def _always(sql: str, body: Body) -> list[str]:
    return [sql]


def test_a_folder_without_a_run_is_not_compared(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["compare", str(tmp_path), str(tmp_path)])
    assert isinstance(done.exception, InvalidRequest)
    assert "holds no evaluation" in str(done.exception)
