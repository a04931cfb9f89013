"""What a question is asked about, as serving finds it: text2sql/context.py for one task."""

from service.generation.task import GenerateTask
from service.sandbox.executor import Executor
from service.text2sql.context import Context, Sources
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.schema import SchemaCache
from service.text2sql.values.index import ValueIndexes

__all__ = ["Context", "Contexts"]


class Contexts:
    """Finds contexts; schemas and value indexes are kept."""

    def __init__(
        self,
        executor: Executor,
        registry: DatabaseRegistry,
        schemas: SchemaCache,
        indexes: ValueIndexes | None,
    ) -> None:
        self._sources = Sources(executor, registry, schemas, indexes)

    async def get(self, task: GenerateTask, *, values: bool) -> Context:
        """The context of a question; raises UnknownDatabase, DatabaseUnusable, NoFreeWorker."""
        return await self._sources.context(task.db_id, task.question, task.evidence, values=values)
