"""Ask for the values that texts name, with a real sandbox and real index files."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import Database
from service.text2sql.schema import Queries, Schema, read_schema
from service.text2sql.values.index import IndexReport, ValueIndexes
from service.text2sql.values.match import ValueMatch
from service.text2sql.values.read import ReadLimits


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Asker:
    """One started sandbox, one database, one set of indexes; used with `async with`."""

    def __init__(
        self,
        path: Path,
        home: Path,
        folder: Path | None = None,
        *,
        limits: ReadLimits | None = None,
        wait_s: float = 60.0,
        memory_bytes: int = 2**28,
    ) -> None:
        self.database = Database(path.stem, path)
        self.indexes = ValueIndexes(
            home, folder, limits=limits or ReadLimits(), wait_s=wait_s, memory_bytes=memory_bytes
        )
        self.executor: Queries
        self.schema: Schema
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Asker":
        self.executor = await self._stack.enter_async_context(Executor(workers=1, limits=Limits()))
        self._stack.push_async_callback(self.indexes.close)
        self.schema = await read_schema(self.executor, self.database)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def find(self, text: str, *, limit: int = 10) -> list[ValueMatch]:
        """Ask about the file as it is now."""
        digest = sha256(self.database.path)
        of = (self.executor, self.database, digest, self.schema, text)
        return await self.indexes.find(*of, limit=limit)

    @property
    def report(self) -> IndexReport | None:
        """What the index of the file, as it is now, was made of."""
        return self.indexes.report(self.database, sha256(self.database.path))


def ask(
    path: Path,
    home: Path,
    texts: Sequence[str],
    folder: Path | None = None,
    *,
    limits: ReadLimits | None = None,
    limit: int = 10,
) -> tuple[list[list[ValueMatch]], IndexReport | None]:
    """The matches of each text, and the index's report, of a sandbox started for it."""

    async def run() -> tuple[list[list[ValueMatch]], IndexReport | None]:
        async with Asker(path, home, folder, limits=limits) as asker:
            return [await asker.find(text, limit=limit) for text in texts], asker.report

    return asyncio.run(run())


def values(matches: Sequence[ValueMatch]) -> list[str]:
    """As `table.column=value`, in their order."""
    return [f"{m.table}.{m.column}={m.value}" for m in matches]
