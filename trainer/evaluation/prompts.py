"""Prompts as in serving: the same schema, values of the database and budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import DatabaseUnusable, TooLarge, UnknownDatabase, VeriSQLError
from service.text2sql.context import Sources
from service.text2sql.prompt import Budget, Prompt, Template
from service.text2sql.questions import Question
from service.text2sql.schema import SchemaCache
from service.text2sql.values.index import ValueIndexes
from service.text2sql.values.match import ValueMatch
from trainer.verifier_thread import VerifierThread

_SCHEMAS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Built:
    """A question's prompt, and the values of the database that it names."""

    prompt: Prompt
    values: tuple[ValueMatch, ...] = ()


Ready = Built | VeriSQLError
"""The error says why there is no prompt: TooLarge, UnknownDatabase or DatabaseUnusable."""


class Prompts:
    """Builds them in the verifier's loop; schemas and value indexes are kept until it is closed.

    Without indexes the prompts have no values.
    """

    def __init__(self, verifier: VerifierThread, indexes: ValueIndexes | None) -> None:
        self._verifier = verifier
        self._indexes = indexes
        schemas = SchemaCache(_SCHEMAS_KEPT)
        self._sources = Sources(verifier.executor, verifier.registry, schemas, indexes)

    def build(
        self, questions: Sequence[Question], template: Template, budget: Budget | None
    ) -> list[Ready]:
        """One for each question, in order."""
        return self._verifier.run(self._all(questions, template, budget))

    def close(self) -> None:
        """Stop what is being indexed."""
        if self._indexes:
            self._verifier.run(self._indexes.close())

    async def _all(
        self, questions: Sequence[Question], template: Template, budget: Budget | None
    ) -> list[Ready]:
        return [await self._ready(question, template, budget) for question in questions]

    async def _ready(self, asked: Question, template: Template, budget: Budget | None) -> Ready:
        try:
            return await self._built(asked, template, budget)
        except (TooLarge, UnknownDatabase, DatabaseUnusable) as error:
            return error

    async def _built(self, asked: Question, template: Template, budget: Budget | None) -> Built:
        context = await self._sources.context(asked.db_id, asked.question, asked.evidence)
        prompt = context.prompt(asked.question, asked.evidence, template, budget=budget)
        return Built(prompt, context.values)
