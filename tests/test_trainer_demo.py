"""`make rlvr-demo`: which questions train and which measure, a run for each seed, the table."""

import json
import sys
from pathlib import Path

import pytest

from service.demo import questions_path
from service.errors import InvalidRequest
from service.jobs.resources import WAITING_THREADS
from service.jobs.rundir import RunDir
from tests.tiny_demo_trainer import CONTROL, RIGHT, STEPS
from trainer.demo.__main__ import main
from trainer.demo.data import digest, split_data
from trainer.demo.preset import MODEL, demo_spec
from trainer.errors import DevLeaksIntoTrain
from trainer.questions import read_all
from trainer.report import write_report
from trainer.verifier_thread import VerifierThread


def _command(act: str) -> list[str]:
    return [sys.executable, "-m", "tests.tiny_demo_trainer", act]


def _write(path: Path, db_ids: str) -> Path:
    """A question for each letter, which is its database."""
    rows = [
        {"question_id": n, "db_id": f"db_{db_id}", "question": f"Number {n}?", "SQL": f"SELECT {n}"}
        for n, db_id in enumerate(db_ids)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def _demo(tmp_path: Path, act: str, *arguments: str) -> int:
    data = tmp_path / "questions.json"
    if not data.exists():
        _write(data, "aaaaaaaaaabbbbbbbbbb")
    given = ["--data", str(data), "--output", str(tmp_path / "out"), "--model", str(tmp_path)]
    return main([*given, *arguments], _command(act))


def _starts(tmp_path: Path, seed: int) -> int:
    return len((tmp_path / "out" / f"seed_{seed}" / "starts").read_text().split())


def test_the_preset_is_a_job_that_warms_up_on_gold(tmp_path: Path) -> None:
    spec = demo_spec(tmp_path / "train.json", tmp_path / "dev.json", 3, {"train": "0"})
    assert (spec.recipe, spec.seed) == (["offline", "grpo", "evaluate"], 3)
    assert spec.base_model == MODEL
    assert spec.hyperparameters.offline.train_on_gold
    assert spec.hyperparameters.evaluate.checkpoints == 0


def test_one_database_is_split_by_question_and_says_so() -> None:
    split = split_data(questions_path(), 200)
    assert (len(split.train), len(split.dev)) == (25, 15)
    assert not {q.question for q in split.train} & {q.question for q in split.dev}
    assert {q.difficulty for q in split.dev} == {"simple", "moderate", "challenging"}
    assert "the one database that was trained on (alpine_retail)" in split.said
    assert "nothing is said of other databases" in split.said


def test_several_databases_are_split_by_database(tmp_path: Path) -> None:
    split = split_data(_write(tmp_path / "train.json", "aaaabbbbccccdddd"), 200)
    train, dev = ({q.db_id for q in side} for side in (split.train, split.dev))
    assert train
    assert dev
    assert not train & dev
    assert len(split.train) + len(split.dev) == 16
    assert split.said == f"{len(dev)} databases that were never trained on"


@pytest.mark.parametrize(
    ("train", "dev"),
    [("train/train.json", "dev/dev.json"), ("train.json", "dev.json"), ("train_spider.json",) * 2],
)
def test_a_folder_with_two_files_is_taken_as_it_is(tmp_path: Path, train: str, dev: str) -> None:
    dev = "dev.json" if dev == train else dev
    _write(tmp_path / train, "aabb")
    _write(tmp_path / dev, "ccc")
    split = split_data(tmp_path, 200)
    assert (len(split.train), len(split.dev)) == (4, 3)
    assert set(split.folders) == {(tmp_path / train).parent, (tmp_path / dev).parent}


def test_a_dev_file_about_databases_of_train_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "train.json", "aabb")
    _write(tmp_path / "dev.json", "bcc")
    with pytest.raises(InvalidRequest, match="asks about too: db_b"):
        split_data(tmp_path, 200)


def test_a_folder_without_questions_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none of train/train\.json"):
        split_data(tmp_path, 200)
    with pytest.raises(InvalidRequest, match="at least one of each"):
        split_data(_write(tmp_path / "one.json", "a"), 200)


def test_dev_is_bounded_and_always_the_same(tmp_path: Path) -> None:
    _write(tmp_path / "train.json", "a" * 5)
    _write(tmp_path / "dev.json", "b" * 50)
    first, again = split_data(tmp_path, 10), split_data(tmp_path, 10)
    assert len(first.dev) == 10
    assert digest(first.dev) == digest(again.dev)
    assert digest(first.dev) != digest(first.train)


def test_the_demo_ends_with_base_offline_final_and_control_of_every_seed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _demo(tmp_path, "succeed", "--seeds", "0 1 2") == 0
    said = capfd.readouterr().out
    judged = len(json.loads((tmp_path / "out" / "data" / "dev.json").read_bytes()))
    assert f"{RIGHT['grpo']} of {judged}" in said
    assert "databases that were never trained on" in said
    assert said.count("final") == said.count(f"{RIGHT['grpo']} of {judged}") + 1 == 4
    assert said.count(f"{CONTROL['offline']} of {judged}") == 3
    added = [100 * (right - RIGHT["offline"]) / judged for right in (9, 8)]
    assert [said.count(f"{points:+.1f} points") for points in added] == [4, 4]
    assert "3 seeds" in said
    assert "1.0% to 90.0%" in said
    assert f"report: {tmp_path}/out/seed_2/report.html" in said
    assert f"report: {tmp_path}/out/seed_2_control/report.html" in said


def test_the_control_takes_as_many_supervised_steps_from_the_end_of_the_warm_up(
    tmp_path: Path,
) -> None:
    assert _demo(tmp_path, "succeed", "--seeds", "3") == 0
    run, control = (RunDir(tmp_path / "out" / name) for name in ("seed_3", "seed_3_control"))
    spec, own = run.request().spec, control.request().spec
    assert control.request().parent_adapter_path == run.checkpoints_path / "step_60"
    assert own.recipe == ["offline", "evaluate"]
    assert own.hyperparameters.offline.max_steps == STEPS["grpo"] - STEPS["offline"]
    assert (own.seed, own.train_data, own.dev_data) == (3, spec.train_data, spec.dev_data)
    assert own.hyperparameters.data == spec.hyperparameters.data
    taken = {path.parent.name: path.read_text() for path in control.path.rglob("questions.jsonl")}
    assert taken == {"base": "base", "parent": "offline_step_60"}


def test_a_demo_without_control_compares_with_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _demo(tmp_path, "succeed", "--no-control") == 0
    said = capfd.readouterr().out
    assert "final" in said
    assert "│ control" not in said
    assert not (tmp_path / "out" / "seed_0_control").exists()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    assert _demo(tmp_path, "succeed") == 0
    assert _demo(tmp_path, "die") == 0
    assert _demo(tmp_path, "succeed", "--seeds", "0,1") == 0
    assert (_starts(tmp_path, 0), _starts(tmp_path, 1)) == (1, 1)


def test_the_trainers_threads_wait_as_those_of_the_service_or_as_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert _demo(tmp_path, "succeed", "--no-control", "--seeds", "0") == 0
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert _demo(tmp_path, "succeed", "--no-control", "--seeds", "1") == 0
    out = tmp_path / "out"
    said = [(out / f"seed_{seed}" / "starts").read_text().strip() for seed in (0, 1)]
    assert said == [WAITING_THREADS["GOMP_SPINCOUNT"], "7"]


def test_a_stopped_demo_goes_on_with_the_same_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _demo(tmp_path, "once", "--seeds", "0 1") == 130
    assert "the same command goes on" in capfd.readouterr().out
    assert not (tmp_path / "out" / "seed_1" / "starts").exists()
    assert _demo(tmp_path, "succeed", "--seeds", "0 1") == 0
    assert _starts(tmp_path, 0) == 2


@pytest.mark.parametrize(
    ("act", "why"), [("fail", "every question was left out"), ("die", "the trainer ended with 9")]
)
def test_a_failed_seed_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], act: str, why: str
) -> None:
    assert _demo(tmp_path, act) == 1
    assert f"seed 0 failed: {why}" in capfd.readouterr().out


def test_other_data_does_not_go_on_in_the_same_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _demo(tmp_path, "succeed") == 0
    kept = (tmp_path / "out" / "data" / "train.json").read_bytes()
    _write(tmp_path / "questions.json", "aaaaaaaaaaabbbbbbbbbbbb")
    assert _demo(tmp_path, "succeed") == 1
    assert "choose another --output" in capfd.readouterr().out
    assert (tmp_path / "out" / "data" / "train.json").read_bytes() == kept


def test_the_demo_database_is_built_where_no_data_is_given(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    given = ["--output", str(output), "--model", str(tmp_path)]
    assert main(given, _command("succeed")) == 0
    assert (output / "databases" / "alpine_retail" / "alpine_retail.sqlite").is_file()
    assert RunDir(output / "seed_0").request().data_dirs == [output / "databases"]
    assert "nothing is said of other databases" in capfd.readouterr().out


def test_the_one_demo_database_passes_the_leak_check_of_its_own_request(tmp_path: Path) -> None:
    given = ["--output", str(tmp_path / "out"), "--model", str(tmp_path)]
    assert main(given, _command("succeed")) == 0
    run = RunDir(tmp_path / "out" / "seed_0")
    request = run.request()
    assert request.same_databases
    with VerifierThread(request.data_dirs, workers=1, limits=request.limits) as verifier:
        found = read_all(request, verifier)
        assert (len(found.train), len(found.dev)) == (20, 15)  # without challenging ones
        with pytest.raises(DevLeaksIntoTrain, match="1 databases: alpine_retail"):
            read_all(request.model_copy(update={"same_databases": False}), verifier)
    assert "nothing is said of others" in write_report(run).read_text()


@pytest.mark.parametrize("seeds", ["", "a", "-1", "1 1", "1.5"])
def test_wrong_seeds_are_refused(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--seeds={seeds}"])
    assert ended.value.code == 2
    assert "must be" in capsys.readouterr().err
