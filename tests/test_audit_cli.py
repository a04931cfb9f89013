"""`verisql audit` as a process: reports, a cleaned dataset, and how it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures_audit import Row
from tests.test_serve import ROOT

GOOD = {"db_id": "shop", "question": "How many?", "SQL": "SELECT count(*) FROM customer"}
BAD = {"db_id": "shop", "question": "Who?", "SQL": "SELECT who FROM customer", "note": 1.50}


@pytest.fixture
def folder(tmp_path: Path, shop: Path) -> Path:
    """BIRD's layout: the file, and the databases in a folder beside it."""
    place = tmp_path / "bird" / "dev_databases" / "shop"
    place.mkdir(parents=True)
    shutil.copy(shop, place / "shop.sqlite")
    return tmp_path / "bird"


def _audit(home: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VERISQL_")}
    return subprocess.run(
        [sys.executable, "-m", "service", "audit", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | {"VERISQL_HOME": str(home / "home"), "VERISQL_WORKERS": "2"},
    )


def _write(path: Path, rows: list[Row]) -> Path:
    path.write_text(json.dumps(rows, indent=2))
    return path


def test_faults_are_shown_reported_and_cleaned_away(folder: Path, tmp_path: Path) -> None:
    file = _write(folder / "dev.json", [BAD, GOOD, GOOD | {"question": "How much?"}])
    done = _audit(
        tmp_path, file, "--output-dir", tmp_path / "out", "--clean", tmp_path / "c" / "x.json"
    )
    assert done.returncode == 1, done.stderr
    assert "broken" in done.stdout
    assert "3 questions: 2 fit, 1 unfit" in done.stdout
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert report["dataset"] == "bird/dev.json"
    assert report["why"] == [{"row": 0, "question_id": "0", "kinds": ["broken"]}]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "audit.json",
        "audit.md",
        "audit.html",
    }
    kept = _write(tmp_path / "expected.json", [GOOD, GOOD | {"question": "How much?"}])
    assert (tmp_path / "c" / "x.json").read_bytes() == kept.read_bytes()


def test_a_sound_dataset_ends_with_0_and_is_cleaned_to_itself(folder: Path, tmp_path: Path) -> None:
    file = folder / "dev.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"question": "So?"}) + "\n")
    done = _audit(tmp_path, file, "--clean", folder / "clean.jsonl", "--slow-s", "0")
    assert done.returncode == 0, done.stderr
    assert "duplicate_gold" in done.stdout
    assert "slow" in done.stdout
    assert (folder / "clean.jsonl").read_bytes() == file.read_bytes()


def test_leaks_are_looked_for_in_a_folder_too(folder: Path, tmp_path: Path) -> None:
    file = _write(folder / "train.json", [GOOD])
    other = tmp_path / "dev"
    other.mkdir()
    _write(other / "dev.json", [BAD | {"db_id": "elsewhere"}, GOOD])
    done = _audit(tmp_path, file, "--against", other)
    assert done.returncode == 1, done.stderr
    assert "leaked_database" in done.stdout
    assert "leaked_question" in done.stdout
    assert _audit(tmp_path, file, "--against", other, "--drop", "broken").returncode == 0


def test_wrong_usage_ends_with_2_and_one_line(folder: Path, tmp_path: Path) -> None:
    file = _write(folder / "dev.json", [GOOD])
    (folder / "text.json").write_text("nothing")
    for arguments, said in (
        (("none.json",), "unknown_dataset"),
        ((folder / "text.json",), "is not valid JSON"),
        ((file, "--drop", "broken,brokn"), "'brokn' is no kind of finding"),
        ((file, "--clean", file), "stays as it is"),
        ((file, "--clean", file / "x"), "cannot be written"),
        ((file, "--against", "none.json"), "unknown_dataset"),
        ((file, "--slow-s", "-1"), "--slow-s"),
        ((), "Missing argument"),
    ):
        done = _audit(tmp_path, *arguments)
        assert done.returncode == 2, arguments
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert json.loads(file.read_text()) == [GOOD]


def test_the_demo_is_a_dataset_by_name(tmp_path: Path) -> None:
    done = _audit(tmp_path, "demo")
    assert done.returncode == 1, done.stderr
    assert "40 questions: 39 fit, 1 unfit" in done.stdout
