"""Dev must never be in train: not by its databases, and not by its questions."""

from collections.abc import Sequence

from service.audit.identity import hashes, side
from service.audit.leaks import Side
from service.audit.overlap import describe, find_leaks
from service.audit.subject import Subject
from service.text2sql.questions import Question
from trainer.errors import DevLeaksIntoTrain
from trainer.verifier_thread import VerifierThread


def refuse_leaks(
    train: Sequence[Question],
    dev: Sequence[Question],
    verifier: VerifierThread,
    *,
    same_databases: bool = False,
) -> None:
    """Raise DevLeaksIntoTrain, which names what is shared; reads every database once.

    With `same_databases` both sides are known to ask about the same ones: only a question on both
    is a leak then.
    """
    train_side, dev_side = verifier.run(_look(train, dev, verifier))
    if found := describe(find_leaks(train_side, dev_side, same_databases=same_databases)):
        raise DevLeaksIntoTrain(found, param="dev_data")


async def _look(
    train: Sequence[Question], dev: Sequence[Question], verifier: VerifierThread
) -> tuple[Side, Side]:
    mine, theirs = (
        Subject(name, questions, verifier.registry)
        for name, questions in (("train", train), ("dev", dev))
    )
    return (
        await side(verifier.executor, mine, await hashes(mine)),
        await side(verifier.executor, theirs, await hashes(theirs)),
    )
