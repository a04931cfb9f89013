"""Prompts of a run's own questions, made as in training, without values looked up."""

from collections.abc import Sequence
from pathlib import Path

from service.errors import DatabaseUnusable, UnknownDatabase
from service.jobs.spec import RunRequest
from service.text2sql.layouts import Split
from service.text2sql.prompt import Template, build_prompt
from service.text2sql.questions import Question
from service.text2sql.schema import Schema, read_schema
from trainer.data_files import questions_of
from trainer.dataset import CountTokens, Messages
from trainer.errors import ExportRefused
from trainer.verifier_thread import VerifierThread


def run_prompts(
    request: RunRequest, template: Template, count_tokens: CountTokens, wanted: int
) -> list[Messages]:
    """`wanted` prompts at most, of questions spread evenly over dev, or over train without one.

    One that is longer than the run allowed is left out. Raises ExportRefused if none is left, for
    instance since the databases are elsewhere by now.
    """
    split: Split = "dev" if request.dev_data_path else "train"
    path = request.dev_data_path or request.train_data_path
    asked = _spread(_questions(request, split, path), wanted)
    found: list[Messages] = []
    with VerifierThread(request.data_dirs, workers=1, limits=request.limits) as verifier:
        for question in asked:
            schema = _schema(question.db_id, verifier)
            if schema is None:
                continue
            made = build_prompt(schema, question.question, question.evidence, template=template)
            if count_tokens(made.messages) <= request.spec.hyperparameters.max_prompt_tokens:
                found.append(made.messages)
    if not found:
        raise ExportRefused(
            f"no prompt can be made of {path.name}: its databases are not in the run's data_dirs, "
            "or every prompt is too long; ask for 0 canaries to export without canary.json",
            param="canaries",
        )
    return found


def _questions(request: RunRequest, split: Split, path: Path) -> list[Question]:
    if not path.exists():
        raise ExportRefused(
            f"{path.name}, the run's questions, is gone; ask for 0 canaries to export without "
            "canary.json",
            param="canaries",
        )
    return questions_of(request, split)


def _spread(questions: Sequence[Question], wanted: int) -> list[Question]:
    return list(questions[:: max(1, len(questions) // wanted)][:wanted])


def _schema(db_id: str, verifier: VerifierThread) -> Schema | None:
    try:
        database = verifier.registry.get(db_id)
    except (UnknownDatabase, DatabaseUnusable):
        return None
    return verifier.run(read_schema(verifier.executor, database))
