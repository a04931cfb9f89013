"""Whole checkpoints from transformers' Trainer, also of a run stopped in the middle of a step."""

from pathlib import Path
from typing import Any, Protocol

from trainer.canary import CanaryQuestions
from trainer.checkpoint import CheckpointKeeper
from trainer.progress import Recorder
from trainer.randomness import RandomStates
from trainer.scale.ranks import barrier, is_main
from trainer.stopping import StopRequested

_CURSOR = "refill_cursor"


class Kept(Protocol):
    """What else belongs to a step: a number that says where it stands."""

    cursor: int


class WholeCheckpoints:
    """Put before a Trainer class; `keep_whole` is called once, `run` instead of `train`."""

    args: Any
    state: Any
    model: Any
    train: Any
    accelerator: Any

    def keep_whole(
        self,
        recorder: Recorder,
        keeper: CheckpointKeeper,
        canary: CanaryQuestions | None,
        kept: Kept | None = None,
    ) -> None:
        """Publish checkpoints with `keeper`, numbers as `recorder` knows them.

        An adapter's checkpoint gets what `canary` asks the policy.
        """
        self._recorder = recorder
        self._keeper = keeper
        self._canary = canary
        self._kept = kept
        self._whole: tuple[RandomStates, int, int] | None = None
        recorder.on_step_whole = self._remember

    def run(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint or the start; after StopRequested the last whole step is kept."""
        if checkpoint and self._kept is not None:
            self._kept.cursor = int((checkpoint / _CURSOR).read_text())
        try:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except StopRequested:
            self._save_last_whole_step()
            raise

    def _remember(self) -> None:
        cursor = self._kept.cursor if self._kept else 0
        self._whole = (RandomStates.take(), self.state.num_input_tokens_seen, cursor)

    def _save_last_whole_step(self) -> None:
        # The step that was cut off has sampled and computed gradients, no more: weights, optimizer
        # and counters are those of the step before, once these are put back.
        if self._whole is None:
            return
        states, self.state.num_input_tokens_seen, cursor = self._whole
        states.restore()
        if self._kept is not None:
            self._kept.cursor = cursor
        if not self._keeper.has(self.state.global_step):
            self._save_checkpoint(self.model, None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        step = self.state.global_step
        written = Path(str(self.args.output_dir)) / f"checkpoint-{step}"
        barrier()  # Each rank writes its own random states.
        if is_main():
            if self._kept is not None:
                (written / _CURSOR).write_text(str(self._kept.cursor))
            self._leave_canary(model, self._keeper.publish(written, step, self._recorder.last_row))
        barrier()

    def _leave_canary(self, model: Any, checkpoint: Path) -> None:
        """After the checkpoint is whole: a stop that is in a hurry, or a failure, costs nothing."""
        if self._canary is None:
            return
        try:
            self._canary.leave(self.accelerator.unwrap_model(model), checkpoint)
        except Exception as error:  # noqa: BLE001 - a run must not end for want of this file.
            self._keeper.warn(f"{checkpoint.name} has no canary.json: {error}")
