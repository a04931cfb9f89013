"""What a run directory says of itself, also when something tore it."""

from pathlib import Path

import pytest

from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import JobSpec, RunRequest


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def request(folder: Path) -> RunRequest:
    return RunRequest(
        job_id="job_1",
        spec=JobSpec(base_model="m", train_data="demo"),
        base_model_path=folder,
        train_data_path=folder / "q.json",
        data_dirs=[folder],
    )


def test_a_request_is_written_once(run: RunDir) -> None:
    run.append_event("info", "model", "events may come before")
    run.create(request(run.path))
    assert run.request() == request(run.path)
    with pytest.raises(FileExistsError):
        run.create(request(run.path))


def test_progress_is_the_share_of_steps(run: RunDir) -> None:
    assert run.status() is None
    run.write_status(RunStatus(state="running", step=3, max_steps=4))
    status = run.status()
    assert status
    assert status.progress == 0.75
    assert RunStatus().progress == 0.0


def test_a_torn_line_keeps_its_place_and_a_half_written_one_waits(run: RunDir) -> None:
    (run.path / "metrics.jsonl").write_bytes(
        b'{"step": 1}\n{"st{"step": 3}\n[4]\n{"step": 5}\n{"st'
    )
    rows = run.metrics()
    assert [row.get("step") for row in rows] == [1, None, None, 5]
    assert rows[1] == {"unreadable": '{"st{"step": 3}'}
    assert run.metrics(after=3) == [{"step": 5}]


def test_the_last_log_line_waits_until_it_is_whole_or_final(run: RunDir) -> None:
    run.log_path.write_bytes(b"one\ntwo\nthr")
    assert run.log() == (["one", "two"], 8)
    assert run.log(8) == ([], 8)
    assert run.log(8, final=True) == (["thr"], 11)
    assert run.log(99) == ([], 99)


def test_a_log_line_that_is_too_long_comes_in_pieces(run: RunDir) -> None:
    run.log_path.write_bytes(b"0123456789\nend\n")
    assert run.log(0, max_bytes=4) == (["0123"], 4)
    assert run.log(4, max_bytes=8) == (["456789"], 11)


def test_the_tail_of_a_log_has_whole_lines(run: RunDir) -> None:
    assert run.log_tail() == ""
    run.log_path.write_text("first\nsecond\nthird\n")
    assert run.log_tail(max_bytes=10) == "third"
    assert run.log_tail() == "first\nsecond\nthird"


def test_a_checkpoint_that_is_not_complete_is_not_listed(run: RunDir) -> None:
    for name in ("step_10", "step_2", "step_3.tmp", "other"):
        (run.checkpoints_path / name).mkdir(parents=True)
    assert [c.step for c in run.checkpoint_list()] == [2, 10]
    assert run.checkpoint_list()[0].metrics == {}


def test_what_is_measured_of_a_step_later_is_added_to_its_row(run: RunDir) -> None:
    (run.checkpoints_path / "step_2").mkdir(parents=True)
    run.append_metrics({"step": 1, "stage": "grpo", "reward": 0.25})
    run.append_metrics({"step": 2, "stage": "grpo", "reward": 0.5})
    run.append_metrics({"step": 2, "stage": "evaluate", "dev_accuracy": 0.75})
    [checkpoint] = run.checkpoint_list()
    expected = {"step": 2, "stage": "grpo", "reward": 0.5, "dev_accuracy": 0.75}
    assert checkpoint.metrics == expected
