"""Dev must never be in train: not by its databases, and not by its questions."""

from collections.abc import Sequence

from service.audit.identity import hashes, side
from service.audit.overlap import Leaks, describe, find_leaks
from service.audit.subject import Subject
from service.text2sql.questions import Question
from trainer.errors import DevLeaksIntoTrain
from trainer.verifier_thread import VerifierThread


def refuse_leaks(
    train: Sequence[Question], dev: Sequence[Question], verifier: VerifierThread
) -> None:
    """Raise DevLeaksIntoTrain, which names what is shared; reads every database once."""
    if found := describe(verifier.run(_look(train, dev, verifier))):
        raise DevLeaksIntoTrain(found, param="dev_data")


async def _look(
    train: Sequence[Question], dev: Sequence[Question], verifier: VerifierThread
) -> Leaks:
    sides = []
    for name, questions in (("train", train), ("dev", dev)):
        subject = Subject(name, questions, verifier.registry)
        sides.append(await side(verifier.executor, subject, await hashes(subject)))
    return find_leaks(*sides)
