"""What a question is asked about: the database, its schema, the values that the question names.

One place for serving and training: the same question on the same file gets the same prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import DatabaseUnusable
from service.text2sql.databases import Database, DatabaseRegistry
from service.text2sql.prompt import Budget, Prompt, Template, Turn, build_prompt
from service.text2sql.schema import Queries, Schema, SchemaCache
from service.text2sql.values.index import ValueIndexes
from service.text2sql.values.match import ValueMatch


@dataclass(frozen=True, slots=True)
class Context:
    """One database as it is now."""

    database: Database
    sha256: str
    schema: Schema
    values: tuple[ValueMatch, ...] = ()
    sought: bool = False
    """Values were looked for; without that, any word of the question could be one."""

    def prompt(
        self,
        question: str,
        evidence: str,
        template: Template,
        *,
        history: Sequence[Turn] = (),
        budget: Budget | None = None,
    ) -> Prompt:
        """The prompt of the question that the values were looked for; raises TooLarge."""
        return build_prompt(
            self.schema,
            question,
            evidence,
            template=template,
            values=self.values,
            history=history,
            budget=budget,
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """Where contexts come from; schemas and value indexes are kept in their caches."""

    executor: Queries
    registry: DatabaseRegistry
    schemas: SchemaCache
    indexes: ValueIndexes | None

    async def context(
        self, db_id: str, question: str, evidence: str, *, values: bool = True
    ) -> Context:
        """The context of a question, with values where they are wanted and can be looked up.

        Raises UnknownDatabase, DatabaseUnusable, NoFreeWorker.
        """
        database = self.registry.get(db_id)
        sha256 = await self.registry.sha256_async(db_id)
        schema = await self.schemas.get(self.executor, database, sha256)
        if not schema.tables:
            raise DatabaseUnusable(f"database {db_id!r} has no tables", param="db_id")
        if not values or self.indexes is None:
            return Context(database, sha256, schema)
        text = f"{question}\n{evidence}"
        found = await self.indexes.find(self.executor, database, sha256, schema, text)
        return Context(database, sha256, schema, tuple(found), sought=True)
