"""A run's page: whole, of one file, safe whatever a run holds, and made of whatever there is."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir, RunError, RunStatus
from tests.fixtures_report import full_run
from tests.fixtures_trainer import ROOT, make_run
from tests.html_page import HOSTILE, Page
from trainer.report import write_report
from trainer.report.cost import costs, machine_hours
from trainer.report.examples import chosen
from trainer.report.facts import read_facts


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return full_run(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def text(run: RunDir) -> str:
    return write_report(run).read_text()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_report(full_run(tmp_path_factory.mktemp("hostile"), HOSTILE)).read_bytes()


def test_no_text_of_a_run_becomes_markup(hostile: bytes) -> None:
    page = Page(hostile)
    names = [tag for tag, _ in page.tags]
    assert (names.count("script"), names.count("style"), names.count("h1")) == (1, 1, 1)
    assert "img" not in names
    attributes = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "href", "style", "action"}


def test_what_hides_is_shown_as_escapes(hostile: bytes) -> None:
    shown = hostile.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "\\u202e" in shown
    assert not {"\u202e", "\x00", "\x1b"} & set(shown)


def test_the_policy_admits_the_pages_own_script_and_style_alone(hostile: bytes) -> None:
    page = Page(hostile)
    [policy] = [a["content"] or "" for _, a in page.tags if a.get("http-equiv")]
    assert "default-src 'none'" in policy
    for name in ("script", "style"):
        [content] = page.within[name]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_every_picture_has_a_title_and_a_description_of_its_own(text: str) -> None:
    page = Page(text.encode())
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    pictures = [a for tag, a in page.tags if tag == "svg"]
    assert len(ids) == len(set(ids))
    assert len(pictures) >= 12
    for picture in pictures:
        assert set((picture["aria-labelledby"] or "").split()) <= set(ids)


@pytest.mark.parametrize(
    "told",
    [
        "58.4% (54.3% to 62.4%, 331 of 567)",  # dev, in the picture's description
        '<td class=n data-name="points">+14.1</td>',
        "grpo: 0.531 at step 41, 0.75 at step 160",
        "offline: 0.0001 at step 1, 0.0001 at step 40",
        "At step 160: match 75%",
        "grpo: 25 of 120 steps in numbers",
        "gold_empty 14",
        "<td>118</td>",
        "<dt>kept completions</dt><dd>311</dd>",
        "1 light-v1: 40.0% (27.6% to 53.8%, 20 of 50)",
        "early: step 42",
        "core hours (2 CPU cores)",
        "0.1.0+verdicts-2",
        '<th scope="row">offline.samples</th><td>16</td>',
    ],
)
def test_the_page_tells(text: str, told: str) -> None:
    assert told in text


def test_questions_that_changed_most_come_first_and_only_those_asked_twice() -> None:
    def row(question: str, step: int, reward: float | None) -> dict[str, object]:
        return {"db_id": "d", "question_id": question, "step": step, "reward": reward}

    rows = [row("once", 1, 0.0), row("same", 1, 1.0), row("same", 9, 1.0), row("up", 2, 0.0)]
    rows += [row("up", 5, 0.5), row("up", 8, 1.0), row("masked", 1, None), row("masked", 2, None)]
    found = chosen([*rows, {"unreadable": "{"}])
    assert [one.key[1] for one in found] == ["up", "same", "masked"]
    assert (found[0].early.step, found[0].late.step, found[0].late.reward) == (2, 8, 1.0)


def test_cost_counts_steps_once_and_questions_that_were_asked(run: RunDir) -> None:
    found = {cost.stage: cost for cost in costs(read_facts(run))}
    assert list(found) == ["select", "offline", "grpo", "evaluate"]
    assert (found["offline"].steps, found["grpo"].steps, found["evaluate"].steps) == (40, 120, 0)
    assert found["grpo"].seconds == pytest.approx(120 * 31.5)
    assert found["grpo"].tokens == 120 * 18_000
    assert found["offline"].tokens == 80_000
    assert (found["evaluate"].seconds, found["evaluate"].tokens) == (1200.0, 4 * 320_000)


def test_hours_are_of_gpus_where_the_job_has_any(run: RunDir) -> None:
    resources = run.request().spec.resources
    several = resources.model_copy(update={"nodes": 4, "gpus_per_node": 8})
    assert machine_hours(resources, 1.5) == "3.00 core hours (2 CPU cores)"
    assert machine_hours(several, 1.5) == "48.00 GPU hours (32 GPUs)"


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path, tmp_path / "model")).read_text()
    assert "No step has been taken." in text
    assert "Not measured" in text
    assert "nan" not in text.lower().replace("font-variant-numeric", "")


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    run = make_run(tmp_path, tmp_path / "model")
    error = RunError(code="training_diverged", message="step 3: loss is nan")
    run.write_status(RunStatus(state="failed", step=3, max_steps=9, error=error))
    text = write_report(run).read_text()
    assert "training_diverged: step 3: loss is nan" in text
    assert "The run is failed at step 3 of 9" in text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"numbers": 3}',
        b'{"numbers": {"points": [3, {}], "arms": [1]}}',
        b'{"numbers": {"points": 7, "arms": {}}, "policy": 4}',
    ],
)
def test_stages_that_cannot_be_read_leave_the_rest(
    run: RunDir, tmp_path: Path, content: bytes
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    copy = RunDir(tmp_path / "run")
    for stage in ("select", "offline", "evaluate"):
        (copy.path / "stages" / f"{stage}.json").write_bytes(content)
    assert "Reward, mean of a step" in write_report(copy).read_text()


def test_torn_rows_and_other_types_are_passed_over(run: RunDir, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    copy = RunDir(tmp_path / "run")
    with (copy.path / "metrics.jsonl").open("a") as file:
        for row in ({"step": "x"}, {"step": 161, "reward": "high", "verdicts": 4}, {}, []):
            file.write(json.dumps(row) + "\n")
        file.write('{"step": 162, "rewa')
    assert "grpo: 25 of 121 steps in numbers" in write_report(copy).read_text()


def test_a_moved_question_file_leaves_the_completions(run: RunDir, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    job = tmp_path / "run" / "job.json"
    job.write_text(job.read_text().replace("train.json", "gone.json"))
    text = write_report(RunDir(tmp_path / "run")).read_text()
    assert "question 5" in text
    assert "early: step" in text


def test_a_folder_without_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"job\.json is missing"):
        write_report(RunDir(tmp_path))


def test_the_command_writes_the_page_without_torch(run: RunDir, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    code = "import sys, trainer.report.__main__ as r; r.main(); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(tmp_path / "run" / "report.html"), "False"]


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer.report", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("report: invalid_request: ")
