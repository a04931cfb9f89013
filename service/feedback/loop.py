"""The loop as the rest sees it: record answers, take feedback, find what it verified."""

from collections.abc import AsyncIterator

from service.feedback.answers import Answers
from service.feedback.known import Known
from service.feedback.proof import Prover
from service.feedback.records import AnswerRecord, Feedback, Given, Outcome, VerifiedQuery
from service.feedback.statement import claimed_sql
from service.feedback.store import FeedbackStore

_EXPORTED_AT_ONCE = 200


class FeedbackLoop:
    """Raises NoDiskSpace or Unavailable when the store fails, except where it says not to fail."""

    def __init__(
        self,
        store: FeedbackStore,
        prover: Prover,
        *,
        keep: int,
        keep_s: float,
    ) -> None:
        self._store = store
        self._prover = prover
        self._on = keep > 0
        self.answers = Answers(store, keep=keep, keep_s=keep_s)
        self.known = Known(store)

    async def start(self) -> None:
        """Open the store, load what is verified; raises SettingsError."""
        await self._store.open()
        await self.known.start()
        self.answers.start()

    async def close(self) -> None:
        """Write what waits and let go of the store."""
        await self.answers.close()
        await self.known.close()
        await self._store.close()

    def record(self, answer: AnswerRecord) -> None:
        """Remember an answer for feedback; returns at once and never fails."""
        self.answers.record(answer)

    async def verified(
        self, db_id: str, database_sha256: str, question: str, evidence: str = ""
    ) -> VerifiedQuery | None:
        """The verified query that answers this question, if it still holds on this file.

        Not for a question that needs earlier ones to be understood. Never asks the store, and the
        sandbox only once for each query when the database has changed; never fails for either.
        Raises UnknownDatabase, DatabaseUnusable.
        """
        if not self._on:
            return None
        query = self.known.find(db_id, database_sha256, question, evidence)
        if query is None or not await self._prover.holds(query, database_sha256):
            return None
        return query

    async def give(self, given: Given) -> Outcome:
        """Take a statement about an answer; it is stored when this returns.

        The same statement again gives the same outcome. Raises FeedbackOff, UnknownAnswer,
        InvalidRequest for a contradiction, SqlRejected, Conflict, and what Prover.prove does.
        """
        answer = await self.answers.get(given.request_id)
        if earlier := await self._store.replay(answer, given):
            return earlier
        sql = claimed_sql(answer, given)
        proof = await self._prover.prove(answer.db_id, sql) if sql is not None else None
        outcome = await self._store.give(answer, given, proof)
        await self.known.refresh()
        return outcome

    async def page(
        self, *, limit: int, after: str | None, db_id: str | None
    ) -> tuple[list[Feedback], bool]:
        """Feedback, newest first, and whether there is more."""
        found = await self._store.page(limit=limit + 1, after=after, db_id=db_id)
        return found[:limit], len(found) > limit

    async def verified_page(
        self, *, limit: int, after: str | None, db_id: str | None
    ) -> tuple[list[VerifiedQuery], bool]:
        """Verified queries, newest first, and whether there are more."""
        found = await self._store.verified_page(limit=limit + 1, after=after, db_id=db_id)
        return found[:limit], len(found) > limit

    async def delete(self, query_id: str) -> None:
        """Delete a verified query; raises UnknownVerifiedQuery."""
        await self._store.delete(query_id)
        await self.known.refresh()

    async def every_verified(self, db_id: str | None) -> AsyncIterator[list[VerifiedQuery]]:
        """All verified queries, newest first, a bounded number at a time."""
        after = None
        while True:
            found = await self._store.verified_page(
                limit=_EXPORTED_AT_ONCE, after=after, db_id=db_id
            )
            if found:
                yield found
            if len(found) < _EXPORTED_AT_ONCE:
                return
            after = found[-1].id
