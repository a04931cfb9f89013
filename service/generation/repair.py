"""Send queries that failed back to the model with the SQL engine's error, a few times at most."""

import logging
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from service.engine.base import Completions, Engine, Message, Sampling
from service.errors import EngineTimeout, EngineUnavailable, TooLarge
from service.generation.checker import Checker
from service.generation.draft import Draft, draft
from service.generation.hints import hint
from service.generation.task import Exchange, Repair
from service.generation.together import together
from service.generation.vote import is_decided
from service.text2sql.schema import Schema
from service.text2sql.untrusted import one_line, without_tokens

_LOG = logging.getLogger(__name__)
_LONGEST_ERROR = 300  # characters of the engine's error that the model gets to read


def repair_messages(messages: Sequence[Message], failed: Draft, schema: Schema) -> list[Message]:
    """The conversation so far, the answer that failed, why it did, and what the schema has instead.

    The error may quote the query but nothing of the database's contents. The prompt stays the
    prefix, so that the model server finds it in its cache.
    """
    return [
        *messages,
        {"role": "assistant", "content": _answer(failed)},
        {"role": "user", "content": _complaint(failed, schema)},
    ]


def _answer(failed: Draft) -> str:
    if failed.sql is None:
        return without_tokens(failed.completion.text)
    return f"```sql\n{without_tokens(failed.sql)}\n```"


def _complaint(failed: Draft, schema: Schema) -> str:
    error = one_line(without_tokens(failed.error or ""), _LONGEST_ERROR)
    if failed.sql is None:
        return "There is no SQL in that answer. Answer with one SQLite query in a ```sql block."
    told = " ".join(filter(None, [error, hint(failed.error or "", schema)]))
    return (
        f"SQLite cannot run that query: {told}\n"
        "Use only tables and columns of the schema above. Answer with one corrected query in a "
        "```sql block and nothing else."
    )


@dataclass(frozen=True, slots=True)
class Mended:
    """The drafts after repair, what was sent back, and what came of it."""

    drafts: list[Draft]
    repairs: list[Repair] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    answers: list[Completions] = field(default_factory=list)
    """Of the model, each with its usage."""


@dataclass(frozen=True, slots=True)
class Mender:
    """Sends failed candidates back to the model, each at most `rounds` times until `stop_at`."""

    engine: Engine
    checker: Checker
    schema: Schema
    sampling: Sampling
    model: str | None
    rounds: int
    stop_at: float
    """By time.monotonic(): no round begins later."""

    def to_mend(self, drafts: Sequence[Draft], settled: Set[int] = frozenset()) -> list[int]:
        """Places of what failed by its own fault; none where mending cannot change the result."""
        failed = [n for n, d in enumerate(drafts) if d.mendable and n not in settled]
        votes = self.checker.depth == "compare"
        return [] if votes and is_decided(drafts, len(failed)) else failed

    async def mend(self, messages: Sequence[Message], drafts: list[Draft]) -> Mended:
        """Mend what failed and may matter; what does not fit into the context stays as it is.

        So does one that came back unchanged, and so do all once the model server is in trouble, if
        another candidate is an answer. Raises EngineUnavailable, EngineTimeout where none is, and
        NoFreeWorker.
        """
        mended, settled = Mended(drafts), set[int]()
        for _ in range(self.rounds):
            failed = self.to_mend(mended.drafts, settled)
            if not failed or time.monotonic() > self.stop_at:
                break
            before = mended
            try:
                mended = await self._round(messages, before, failed)
            except (EngineUnavailable, EngineTimeout) as error:
                if all(d.error is not None for d in before.drafts):
                    raise
                _LOG.warning("no repair: %s", error)
                break
            settled |= {n for n in failed if mended.drafts[n].sql == before.drafts[n].sql}
        return mended

    async def _round(
        self, messages: Sequence[Message], so_far: Mended, failed: list[int]
    ) -> Mended:
        """Each distinct failure goes back once; candidates that failed alike share what comes."""
        drafts = list(so_far.drafts)
        sent = {_told(drafts[n]): repair_messages(messages, drafts[n], self.schema) for n in failed}
        came = await together(self._again(asked) for asked in sent.values())
        answers = {told: answer for told, answer in zip(sent, came, strict=True) if answer}
        repairs = []
        for place in failed:
            told = _told(drafts[place])
            if told in answers:
                repairs.append(Repair(place, drafts[place].sql, drafts[place].error or ""))
                drafts[place] = draft(answers[told].choices[0], drafts[place].repaired + 1)
        exchanges = [Exchange(sent[told], a.choices[0].text) for told, a in answers.items()]
        return Mended(
            await self.checker.check(drafts),
            so_far.repairs + repairs,
            so_far.exchanges + exchanges,
            so_far.answers + list(answers.values()),
        )

    async def _again(self, messages: Sequence[Message]) -> Completions | None:
        sampling = replace(self.sampling, n=1)
        try:
            return await self.engine.complete(messages, sampling, model=self.model)
        except TooLarge:
            return None


def _told(failed: Draft) -> tuple[str, str | None]:
    return failed.completion.text, failed.error
