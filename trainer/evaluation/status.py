"""How far a stage is that asks questions and trains nothing."""

import time

from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import Stage


class AskingStatus:
    """Keeps status.json; the steps in it stay those of training."""

    def __init__(self, run: RunDir, stage: Stage, questions: int) -> None:
        """`questions` is how many will be asked in all."""
        self._run = run
        self._stage = stage
        self._left = questions
        self._asked = 0
        self._began = time.monotonic()
        self._write(None)

    def skip(self, count: int) -> None:
        """So many have their answers from an earlier session."""
        self._left -= count

    def done(self, count: int) -> None:
        """So many more are answered."""
        self._left -= count
        self._asked += count
        each = (time.monotonic() - self._began) / self._asked
        self._write(round(max(self._left, 0) * each, 1))

    def _write(self, eta_s: float | None) -> None:
        last = self._run.status() or RunStatus()
        said = {"state": "running", "stage": self._stage, "eta_s": eta_s}
        self._run.write_status(last.model_copy(update=said))
