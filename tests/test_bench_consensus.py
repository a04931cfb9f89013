"""Labels by agreement beside labels by gold: what the bench counts, and what it writes."""

from pathlib import Path

import pytest

from bench.consensus_labels import main
from service.jobs.rundir import RunDir
from tests.fixtures_trainer import make_run
from trainer.offline.candidates import Candidate, Candidates, append, read_candidates

ALL, NAMES, AGES = "SELECT * FROM pets", "SELECT name FROM pets", "SELECT age FROM pets"


def _candidates(question: str, judged: list[tuple[str, float | None]]) -> Candidates:
    completions = [Candidate(sql, [7], [-0.5], sql, "by gold", reward) for sql, reward in judged]
    return Candidates(question, "pets", "ddl", completions)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = make_run(tmp_path, tmp_path)
    (run.path / "stages" / "offline").mkdir(parents=True)
    path = run.path / "stages" / "offline" / "candidates.jsonl"
    right = _candidates("right", [(ALL, 1), (ALL, 1), (NAMES, 0)])
    wrong = _candidates("wrong", [(ALL, 1), (NAMES, 0), (NAMES, 0)])
    nobody = _candidates("nobody", [(ALL, 1), (NAMES, 0), (AGES, 0)])
    (path.parent / "rows.json").write_text('{"ddl": []}')
    append(path, [right, wrong, nobody, _candidates("masked", [(ALL, None), (ALL, None)])])
    return run


def test_agreement_is_counted_against_gold(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(run.path)])
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    counted = ("questions", "some_right_by_gold", "labelled", "majority_right")
    assert [said[name] for name in counted] == ["3", "3", "2", "1"]
    assert (said["precision_of_chosen"], said["recall_of_right"]) == ("0.5", "0.5")


def test_another_run_gets_the_same_candidates_as_agreement_judges_them(
    run: RunDir, tmp_path: Path
) -> None:
    main([str(run.path), "--into", str(tmp_path / "other")])
    stage, before = tmp_path / "other" / "stages" / "offline", run.path / "stages" / "offline"
    found = read_candidates(stage / "candidates.jsonl")
    assert {one.question_id: [c.reward for c in one.completions] for one in found} == {
        "right": [1, 1, 0],
        "wrong": [0, 1, 1],
        "nobody": [None, None, None],
        "masked": [1, 1],
    }
    assert [[c.tokens for c in one.completions] for one in found] == [
        [c.tokens for c in one.completions] for one in read_candidates(before / "candidates.jsonl")
    ]
    assert (stage / "rows.json").read_bytes() == (before / "rows.json").read_bytes()


def test_a_run_that_has_begun_keeps_its_own_candidates(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run.path / "stages" / "offline" / "candidates.jsonl").read_bytes()
    with pytest.raises(SystemExit):
        main([str(run.path), "--into", str(run.path)])
    assert f"--into {run.path}: this run has begun; it must be new" in capsys.readouterr().err
    assert (run.path / "stages" / "offline" / "candidates.jsonl").read_bytes() == before
