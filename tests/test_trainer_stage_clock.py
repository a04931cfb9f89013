"""A stage's time is that of all its sessions."""

import shutil
from pathlib import Path

import pytest

from trainer.stage_clock import StageClock
from trainer.stopping import StopRequested


def _ended_early(path: Path, error: BaseException) -> float:
    clock = StageClock(path)
    with pytest.raises(type(error)), clock.kept():
        raise error
    return clock.seconds


@pytest.mark.parametrize("error", [StopRequested(), RuntimeError("no memory"), KeyboardInterrupt()])
def test_a_session_that_ends_early_leaves_its_time_to_the_next(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "stages" / "grpo.seconds"
    path.parent.mkdir()
    path.write_text("3600.5")
    assert _ended_early(path, error) >= 3600.5
    assert float(path.read_text()) >= 3600.5
    assert StageClock(path).seconds >= 3600.5


def test_a_session_that_ends_the_stage_or_is_killed_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "offline.seconds"
    with StageClock(path).kept():
        pass
    assert not path.exists()


def test_a_spoilt_file_counts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "offline.seconds"
    path.write_text("half a line")
    assert StageClock(path).seconds < 60


def test_where_the_time_cannot_be_kept_the_error_is_still_the_stages_own(tmp_path: Path) -> None:
    folder = tmp_path / "stages"
    folder.mkdir()
    clock = StageClock(folder / "grpo.seconds")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    with pytest.raises(StopRequested) as told, clock.kept():
        raise StopRequested
    assert "the time of this session is lost" in told.value.__notes__[0]
