"""What a launcher does: four verbs, the same for every place where a trainer can run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from service.jobs.resources import Resources

Handle = dict[str, Any]
"""What a launcher needs to find a run again, as JSON; nobody else reads it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One run, as launchers see it."""

    job_id: str
    run_dir: Path
    """Absolute; job.json is in it."""
    resources: Resources
    attempt: int = 0
    """0 for the first start; each resume or retry is the next one, and a launch of its own."""

    @property
    def launch_name(self) -> str:
        """What this launch is called in any outside system, lower case: the same name is the same
        launch, so that a repeated submit is harmless."""
        return f"verisql-{self.job_id.replace('_', '-').lower()}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a launcher sees of a run.

    absent   this attempt was never launched
    pending  accepted, but its machines are not there yet
    running  launched and not ended; this includes the moments before its first output
    exited   launched and gone; `exit_code` is negative for a signal, None if nobody could know
    """

    state: Literal["absent", "pending", "running", "exited"]
    exit_code: int | None = None
    handle: Handle | None = None
    """The handle of what was found, also when the caller did not know it."""
    preempted: bool = False
    """exited: its machine was taken away (node lost, evicted); the trainer is not to blame."""
    out_of_memory: bool = False
    """exited: it was killed since it wanted more memory than it was given."""
    reason: str | None = None
    """In the place's own words: why it is pending, or how it ended."""


class Launcher(Protocol):
    """Submit, poll, cancel, logs.

    Each call returns fast: none waits for a trainer to start, to train or to end. Each may be
    repeated: after a crash the supervisor cannot know whether its last call took effect, so a
    second submit of a run that lives launches nothing, and cancelling what is gone succeeds.
    `handle` is what an earlier submit or poll gave, or None if that answer was lost; a launcher
    finds the run from the placement alone. The run must outlive the service.
    A launcher that cannot do its work now raises Unavailable and is asked again later; any other
    error of this project fails the job.
    """

    async def submit(self, placement: Placement) -> Handle | None:
        """Start `python -m trainer --run-dir DIR`; None if a start by someone else is under way."""
        ...

    async def poll(self, placement: Placement, handle: Handle | None) -> Probe:
        """Look; changes nothing."""
        ...

    async def cancel(self, placement: Placement, handle: Handle | None, *, force: bool) -> None:
        """Ask the run to end (it may write a checkpoint), or end it now and entirely (`force`)."""
        ...

    async def logs(self, placement: Placement, handle: Handle | None, *, max_bytes: int) -> str:
        """The end of what the run has printed, at most `max_bytes`; empty if nothing is known."""
        ...
