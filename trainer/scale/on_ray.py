"""The driver of a run on a Ray cluster: python -m trainer.scale.on_ray --run-dir DIR ... -- COMMAND

Entrypoint of a Ray job. Reserves one bundle of resources a node, each on a node of its own, starts
COMMAND there with `--run-dir DIR` (and the node's number and the first node's address, if there
are several), waits, and ends with the trainer's exit code (128 + N for signal N), or 75 if machines
were taken away. SIGTERM is handed on; the file kill-N in the run's folder ends everything at once.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from service.jobs.driver import PREEMPTED_EXIT, DriverNote, kill_path, write_note
from service.jobs.rundir import FULL_EXIT, RunDir, is_full
from trainer.lock import is_held
from trainer.scale.ray_parts import Asked, PartLost, RayParts

LOOK_S = 0.5
_LOCKED_S = 300.0
"""Longest wait for an earlier trainer to leave the run's folder."""
_TRAINER_LOCKED = 3
"""Exit code of a trainer that found another in the folder."""
_SIGNALLED = 128


class Outcome(NamedTuple):
    """How it ended."""

    exit_code: int | None
    preempted: bool = False
    reason: str | None = None

    @property
    def process_code(self) -> int:
        """For the driver's own end."""
        if self.preempted:
            return PREEMPTED_EXIT
        if self.exit_code is None:
            return 1  # A part of it was lost, which is no success.
        return _SIGNALLED - self.exit_code if self.exit_code < 0 else self.exit_code


class Driver:
    """One attempt of one run."""

    def __init__(self, run: RunDir, attempt: int, asked: Asked, command: Sequence[str]) -> None:
        self._run = run
        self._attempt = attempt
        self._asked = asked
        self._command = [*command, "--run-dir", str(run.path)]
        self._stopping = False
        self._said: DriverNote | None = None

    def drive(self) -> Outcome:
        """From the reservation to the end, noted in driver.json if there is room for it."""
        self._listen()
        try:
            outcome = self._wait_for_folder() or self._on_machines()
        except PartLost as lost:
            outcome = Outcome(None, lost.preempted, str(lost))
        except Exception as error:  # noqa: BLE001 - boundary: whatever it was, the note must say it.
            failed = FULL_EXIT if is_full(error) else 1
            outcome = Outcome(failed, reason=f"{type(error).__name__}: {error}")
        code, preempted, reason = outcome
        with suppress(OSError):  # Ray keeps the exit code as well.
            self._note("ended", reason, exit_code=code, preempted=preempted)
        return outcome

    def _wait_for_folder(self) -> Outcome | None:
        """Before machines are reserved: an earlier attempt that was cut off may still train."""
        until = time.monotonic() + _LOCKED_S
        while is_held(self._run.lock_path):
            self._note("waiting", "another trainer still works in the run's folder")
            if self._told_to_end:
                return Outcome(None, reason="stopped before it began")
            if time.monotonic() > until:
                return Outcome(None, True, "another trainer still works in the run's folder")
            time.sleep(LOOK_S)
        return None

    def _on_machines(self) -> Outcome:
        self._note("waiting", "the driver joins the cluster")
        with RayParts(self._asked) as parts:
            self._listen()  # Ray has put its own handler there.
            while not parts.are_reserved(LOOK_S):
                self._note("waiting", parts.missing())
                if self._told_to_end:
                    return Outcome(None, reason="stopped before it began")
            parts.start(self._command, self._run.path)
            self._note("started")
            return self._watch(parts)

    def _watch(self, parts: RayParts) -> Outcome:
        told = False
        while (code := parts.exit_code()) is None:
            if self._killed:
                parts.kill()
                return Outcome(-signal.SIGKILL, reason="killed")
            if self._stopping and not told:
                parts.stop()
                told = True
            time.sleep(LOOK_S)
        parts.kill()  # A node that serves has no end of its own.
        if code == _TRAINER_LOCKED and is_held(self._run.lock_path):
            return Outcome(code, True, "another trainer works in the run's folder")
        return Outcome(code)

    @property
    def _killed(self) -> bool:
        return kill_path(self._run.path, self._attempt).exists()

    @property
    def _told_to_end(self) -> bool:
        return self._stopping or self._killed

    def _listen(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self._stopping = True

    def _note(
        self,
        phase: str,
        reason: str | None = None,
        *,
        exit_code: int | None = None,
        preempted: bool = False,
    ) -> None:
        note = DriverNote.model_validate(
            {
                "attempt": self._attempt,
                "phase": phase,
                "reason": reason,
                "exit_code": exit_code,
                "preempted": preempted,
            }
        )
        if note != self._said:
            write_note(self._run.path, note)
            sys.stdout.write(f"{phase}{f': {reason}' if reason else ''}\n")
            sys.stdout.flush()
        self._said = note


def main(arguments: Sequence[str] | None = None) -> int:
    """Drive one attempt; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer.scale.on_ray", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True, help="shared by all nodes")
    parser.add_argument("--attempt", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--training-nodes", type=int, default=1, help="the others serve")
    parser.add_argument("--cpus", type=float, default=1, help="of each node")
    parser.add_argument("--gpus", type=float, default=0, help="of each node")
    parser.add_argument("--memory-bytes", type=int, default=0, help="of each node")
    parser.add_argument("command", nargs="+", help="a node's part, after --")
    given = parser.parse_args(arguments)
    asked = Asked(given.nodes, given.training_nodes, given.cpus, given.gpus, given.memory_bytes)
    driver = Driver(RunDir(given.run_dir.resolve()), given.attempt, asked, given.command)
    return driver.drive().process_code


if __name__ == "__main__":
    sys.exit(main())
