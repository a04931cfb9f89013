"""What each arm answered, kept in a file each so that a killed stage goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path

from service.text2sql.evaluation.choose import Placed
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.outcome_file import OutcomeFile
from service.text2sql.evaluation.unchanged import Unchanged
from trainer.evaluation.ask import Asker, batches
from trainer.evaluation.subject import Subject
from trainer.sampling import Complete


def answer(
    path: Path,
    fresh: Sequence[Placed],
    asker: Asker,
    subject: Subject,
    complete: Complete,
    done: Callable[[int], None],
) -> dict[int, Outcome]:
    """Ask those of the questions that the file has no answer to; gives all its answers, by place.

    `done` hears of each batch, whether it was asked or known. Raises Conflict where verifier, model
    or a database is another than for the answers that are there.
    """
    with OutcomeFile(path) as file:
        same = Unchanged(list(file.outcomes.values()))
        for batch in batches(fresh):
            if not all(_is_answered(file, placed) for placed in batch):
                for outcome in asker.ask(batch, subject, complete):
                    same.check(outcome)
                    file.add(outcome)
            done(len(batch))
        return dict(file.outcomes)


def _is_answered(file: OutcomeFile, placed: Placed) -> bool:
    place, question = placed
    outcome = file.outcomes.get(place)
    return outcome is not None and outcome.question == question and not outcome.retryable
