"""Behaves like a trainer in the ways that matter to a launcher, in milliseconds.

python tiny_trainer.py ACT... --run-dir DIR: the acts are done in order.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from service.jobs.rundir import RunDir, RunError, RunStatus


class Acts:
    """One method for each act."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.stopped = False

    def train(self) -> None:
        self.run.write_status(RunStatus(state="running", step=1, max_steps=2, eta_s=5.0))
        self.run.append_metrics({"step": 1, "reward": 0.25})
        self.run.append_event("info", "step", "step 1 of 2")
        (self.run.checkpoints_path / "step_1").mkdir(parents=True, exist_ok=True)
        (self.run.checkpoints_path / "step_1" / "weights").write_bytes(b"12345")

    def succeed(self) -> None:
        status = RunStatus(state="succeeded", step=2, max_steps=2, best_checkpoint=1)
        self.run.write_status(status)

    def fail(self) -> None:
        error = RunError(code="no_signal", message="every reward was the same")
        self.run.write_status(RunStatus(state="failed", step=1, max_steps=2, error=error))

    def heed(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)

    def ignore(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def wait(self) -> None:
        (self.run.path / "waiting").touch()
        while not self.stopped:
            if (self.run.path / "go").exists():
                return
            time.sleep(0.01)
        self.run.write_status(RunStatus(state="cancelled", step=1, max_steps=2))
        sys.exit(0)

    def until_told(self) -> None:
        while not (self.run.path / "go").exists():
            time.sleep(0.01)

    def spawn(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (self.run.path / "child").write_text(str(child.pid))
        child.returncode = 0  # It is left behind on purpose: no warning about it.

    def crash(self) -> None:
        print("boom: no such tensor", flush=True)  # noqa: T201
        os._exit(3)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self, *_: object) -> None:
        self.stopped = True


def main() -> None:
    *names, _flag, folder = sys.argv[1:]
    with (Path(folder) / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    acts = Acts(RunDir(Path(folder)))
    for name in names:
        getattr(acts, name)()


if __name__ == "__main__":
    main()
