"""One policy on all questions, into a folder that `verisql compare` reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import __version__
from service.text2sql.evaluation.choose import Placed
from service.text2sql.evaluation.folder import RunFolder
from service.text2sql.evaluation.manifest import Manifest
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.report_files import write_report
from service.text2sql.evaluation.session import machine, session
from service.text2sql.evaluation.unchanged import Unchanged
from service.text2sql.types import METRICS
from trainer.context import Context, Policy
from trainer.evaluation.ask import Asker, batches
from trainer.evaluation.dev import read_dev
from trainer.evaluation.prompts import Prompts
from trainer.evaluation.subject import Subject, subject_of
from trainer.sampling import Complete

Done = Callable[[int], None]
"""Gets the number of questions that have just been answered."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished evaluation."""

    folder: Path
    manifest: Manifest
    outcomes: list[Outcome]


class Evaluator:
    """Measures policies on the same questions; what they share is kept until its `with` ends."""

    def __init__(self, context: Context) -> None:
        """Raises InvalidRequest where there are no questions."""
        self._context = context
        count, seed = context.settings.evaluate.questions, context.request.spec.seed
        self._dev = read_dev(context.request, "evaluate")
        self.chosen = self._dev.drawn(count, seed)
        self._selection = {} if count is None else {"sample": count, "sample_seed": seed}
        self._prompts = Prompts(context.verifier, context.value_indexes())
        self._asker = Asker(context.verifier, self._prompts, METRICS)

    def __enter__(self) -> "Evaluator":
        return self

    def __exit__(self, *_: object) -> None:
        self._prompts.close()

    def measure(
        self, policy: Policy, name: str, complete: Complete, done: Done = lambda count: None
    ) -> Measured:
        """Greedy, into `stages/evaluate/<name>`; what is there already is not asked again.

        Raises Conflict where the verifier or a database changes under way, InvalidRequest where the
        folder has another evaluation.
        """
        subject = subject_of(policy, policy.weights_in(self._context.run), self._context.settings)
        settings = {"metrics": list(METRICS), "values": self._context.settings.values}
        plan = self._dev.plan(self.chosen, self._selection, settings | subject.settings())
        path = self._context.folder("evaluate") / name
        about: dict[str, Any] = {"service": {"version": __version__}, "machine": machine()}
        with RunFolder(path, plan, about) as folder:
            left = [batch for batch in batches(self.chosen) if not _is_whole(folder, batch)]
            if left:
                with session(folder, self._dev.questions, METRICS):
                    self._ask(folder, left, subject, complete, done)
            else:
                # A run that was killed after its last question has not reported it.
                write_report(folder, self._dev.questions, METRICS)
            return Measured(path, folder.manifest(), folder.in_order())

    def _ask(
        self,
        folder: RunFolder,
        left: Sequence[Sequence[Placed]],
        subject: Subject,
        complete: Complete,
        done: Done,
    ) -> None:
        same = Unchanged(folder.in_order())
        for batch in left:
            for outcome in self._asker.ask(batch, subject, complete):
                same.check(outcome)
                folder.add(outcome)
            done(len(batch))


def evaluate_policy(context: Context, policy: Policy, name: str, complete: Complete) -> Measured:
    """One policy alone, on the job's dev questions; see Evaluator.measure."""
    with Evaluator(context) as evaluator:
        return evaluator.measure(policy, name, complete)


def _is_whole(folder: RunFolder, batch: Sequence[Placed]) -> bool:
    outcomes = [folder.outcomes.get(place) for place, _ in batch]
    return all(outcome is not None and not outcome.retryable for outcome in outcomes)
