"""Which ends are retried, after how long, and what is said of those that are not."""

import pytest

from service.jobs.deaths import death, pause_before_retry, taken_away
from service.jobs.launchers import begin
from service.jobs.launchers.base import Probe
from service.jobs.rundir import FULL_EXIT, RunStatus
from tests.fixtures_jobs import job_row


@pytest.mark.parametrize("exit_code", [-9, -15, 137, 143, None])
def test_a_kill_that_was_not_ours_is_no_fault_of_the_trainer(exit_code: int | None) -> None:
    assert taken_away(Probe("exited", exit_code), "running")
    assert taken_away(Probe("exited", exit_code), None)
    assert not taken_away(Probe("exited", exit_code), "failed")


@pytest.mark.parametrize("exit_code", [0, 1, 3, -11, -6, 139])
def test_any_other_end_is_the_trainers_own_unless_the_machine_went(exit_code: int) -> None:
    assert not taken_away(Probe("exited", exit_code), "running")
    assert taken_away(Probe("exited", exit_code, preempted=True), "failed")


def test_each_pause_is_twice_the_last_one_up_to_ten_minutes() -> None:
    jobs = [job_row({"max_retries": 10}, retries_left=n) for n in range(10, 0, -1)]
    pauses = [pause_before_retry(job, 10) for job in jobs]
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600, 600]


@pytest.mark.parametrize(
    ("exit_code", "said"), [(-9, "signal 9"), (3, "exit code 3"), (None, "exit code unknown")]
)
def test_a_death_is_told_with_its_manner_and_last_words(exit_code: int | None, said: str) -> None:
    error = death(job_row(), Probe("exited", exit_code), None, "MemoryError")
    assert error.code == "trainer_died"
    assert said in error.message
    assert error.message.endswith("MemoryError")


def test_a_run_that_wanted_too_much_memory_is_not_tried_again_and_says_what_to_change() -> None:
    killed = Probe("exited", -9, out_of_memory=True, reason="pod p: OOMKilled")
    assert not taken_away(killed, "running")
    error = death(job_row({"resources": {"memory_gb": 6}}), killed, None, "step 3")
    assert (error.code, error.param) == ("out_of_memory", "resources.memory_gb")
    for said in ("memory_gb=6 ", "pod p: OOMKilled", "prompts_per_step", "group_size", "step 3"):
        assert said in error.message


def test_a_disk_that_was_too_full_for_the_last_word_is_told() -> None:
    error = death(job_row(), Probe("exited", FULL_EXIT), RunStatus(state="running"), "")
    assert error.code == "no_disk_space"
    assert not taken_away(Probe("exited", FULL_EXIT), "running")
    assert FULL_EXIT == begin.FULL_EXIT


def test_a_stop_from_outside_is_told_as_one() -> None:
    error = death(job_row(), Probe("exited", 0), RunStatus(state="cancelled"), "")
    assert error.message.startswith("the trainer was stopped from outside (exit code 0)")


def test_a_job_that_no_machine_was_left_to_says_how_often_it_was_tried() -> None:
    gone = Probe("exited", 1, preempted=True, reason="node n1 is gone")
    error = death(job_row(), gone, None, "")
    assert error.code == "preempted"
    assert "node n1 is gone" in error.message
    assert "after 3 retries" in error.message
