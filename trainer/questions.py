"""The questions of a run: read, kept apart, filtered."""

import filecmp
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from service.jobs.spec import RunRequest
from service.text2sql.layouts import question_files
from service.text2sql.questions import Question, read_questions
from trainer.errors import DevLeaksIntoTrain
from trainer.filters import choose
from trainer.leaks import refuse_leaks
from trainer.verifier_thread import VerifierThread


@dataclass(frozen=True, slots=True)
class Questions:
    """What a run trains on, and what it is measured with."""

    train: list[Question]
    """After the filters of `hyperparameters.data`, but for the pass rates."""
    dev: list[Question]
    """All of dev, as it is; empty where there is none."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Training questions that the filters left out, by reason."""


def read_all(request: RunRequest, verifier: VerifierThread) -> Questions:
    """Both sets of a run, which share nothing; a function of files and request alone.

    Raises InvalidRequest for a file that is none, DevLeaksIntoTrain.
    """
    train = read_train(request)
    dev = read_dev(request)
    if dev:
        refuse_leaks(train, dev, verifier, same_databases=request.same_databases)
    dropped: Counter[str] = Counter()
    spec = request.spec
    chosen = choose(train, spec.hyperparameters.data, spec.seed, dropped)
    return Questions(chosen, dev, +dropped)


def read_train(request: RunRequest) -> list[Question]:
    """Every training question, unfiltered; raises InvalidRequest."""
    return read_questions(request.train_data_path, "train", need_gold=request.spec.needs_gold)


def read_dev(request: RunRequest) -> list[Question]:
    """Every dev question, none where the run has no dev data.

    Raises InvalidRequest, and DevLeaksIntoTrain if a file is in both sets.
    """
    path = request.dev_data_path
    if path is None:
        return []
    questions = read_questions(path, "dev")
    _refuse_same_file(question_files(request.train_data_path, "train"), question_files(path, "dev"))
    return questions


def _refuse_same_file(train: list[Path], dev: list[Path]) -> None:
    for one, other in product(train, dev):
        if filecmp.cmp(one, other, shallow=False):
            raise DevLeaksIntoTrain(
                f"train_data and dev_data are the same questions ({one} and {other}): give a "
                "dev_data on databases that are not trained on",
                param="dev_data",
            )
