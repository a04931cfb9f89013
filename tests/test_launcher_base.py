"""What all launchers share beside their behaviour."""

from pathlib import Path

from service.jobs.launchers.base import Placement
from service.jobs.resources import Resources


def test_a_launch_is_named_by_job_and_attempt() -> None:
    run = Placement("job_0abc", Path("/runs/job_0abc"), Resources(), attempt=2)
    assert run.launch_name == "verisql-job-0abc-2"
