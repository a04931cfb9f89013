"""What a question is asked about: the database, its schema, the values that the question names."""

from dataclasses import dataclass

from service.errors import DatabaseUnusable
from service.generation.task import GenerateTask
from service.sandbox.executor import Executor
from service.text2sql.databases import Database, DatabaseRegistry
from service.text2sql.schema import Schema, SchemaCache
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


class Contexts:
    """Finds contexts; schemas and value indexes are kept."""

    def __init__(
        self,
        executor: Executor,
        registry: DatabaseRegistry,
        schemas: SchemaCache,
        indexes: ValueIndexes | None,
    ) -> None:
        self._executor = executor
        self._registry = registry
        self._schemas = schemas
        self._indexes = indexes

    async def get(self, task: GenerateTask, *, values: bool) -> Context:
        """The context of a question; raises UnknownDatabase, DatabaseUnusable, NoFreeWorker."""
        database = self._registry.get(task.db_id)
        sha256 = await self._registry.sha256_async(task.db_id)
        schema = await self._schemas.get(self._executor, database, sha256)
        if not schema.tables:
            raise DatabaseUnusable(f"database {task.db_id!r} has no tables", param="db_id")
        if not values or self._indexes is None:
            return Context(database, sha256, schema)
        text = f"{task.question}\n{task.evidence}"
        found = await self._indexes.find(self._executor, database, sha256, schema, text)
        return Context(database, sha256, schema, tuple(found), sought=True)
