"""The verified queries in memory, so that a question finds its own without asking the store.

What this service changes is in memory before its caller hears of it. What others change in a shared
store is seen within REFRESH_S.
"""

import asyncio
import logging
from collections.abc import Iterable

from service.errors import VeriSQLError
from service.feedback.match import VerifiedQueries
from service.feedback.records import VerifiedQuery
from service.feedback.store import FeedbackStore, Mark

REFRESH_S = 2.0
_LOG = logging.getLogger(__name__)


class Known:
    """An index for each database, made anew when its verified queries change."""

    def __init__(self, store: FeedbackStore, *, refresh_s: float = REFRESH_S) -> None:
        self._store = store
        self._refresh_s = refresh_s
        self._marks: dict[str, Mark] = {}
        self._indexes: dict[str, VerifiedQueries] = {}
        self._loading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._indexes.values()))

    async def start(self) -> None:
        """Load everything, then look for changes from time to time."""
        await self.refresh()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End looking."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def find(
        self, db_id: str, database_sha256: str, question: str, evidence: str
    ) -> VerifiedQuery | None:
        """As VerifiedQueries.find."""
        index = self._indexes.get(db_id)
        return index.find(db_id, database_sha256, question, evidence) if index else None

    async def refresh(self) -> None:
        """Load what has changed; raises as the store does."""
        async with self._loading:
            marks = await self._store.marks()
            for db_id in self._marks.keys() - marks.keys():
                del self._marks[db_id], self._indexes[db_id]
            await self._load(db_id for db_id in marks if self._marks.get(db_id) != marks[db_id])
            self._marks = marks

    async def _load(self, db_ids: Iterable[str]) -> None:
        for db_id in db_ids:
            queries = await self._store.verified_of(db_id)
            # Some thousand questions take a second to compare: not in the way of requests.
            self._indexes[db_id] = await asyncio.to_thread(VerifiedQueries, queries)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await self.refresh()
            except VeriSQLError as error:
                _LOG.warning("verified queries could not be loaded: %s", error)
