"""Send queries that failed back to the model with the SQL engine's error, a few times at most."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.engine.base import Completions, Engine, Message, Sampling
from service.errors import EngineTimeout, EngineUnavailable, TooLarge
from service.generation.checker import Checker
from service.generation.draft import Draft, draft
from service.generation.hints import hint
from service.generation.task import Repair
from service.generation.together import together
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
    """The drafts after repair, what was sent back, and what that cost."""

    drafts: list[Draft]
    repairs: list[Repair]
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Mender:
    """Sends failed candidates back to the model, each at most `rounds` times."""

    engine: Engine
    checker: Checker
    schema: Schema
    sampling: Sampling
    model: str | None
    rounds: int

    async def mend(self, messages: Sequence[Message], drafts: list[Draft]) -> Mended:
        """Mend what has an error; a candidate that does not fit into the context stays as it is.

        So do all once the model server is in trouble, if another candidate is an answer. Raises
        EngineUnavailable, EngineTimeout where none is, and NoFreeWorker.
        """
        mended = Mended(drafts, [])
        for _ in range(self.rounds):
            failed = [place for place, d in enumerate(mended.drafts) if d.error is not None]
            if not failed:
                break
            spare = len(failed) < len(mended.drafts)
            try:
                mended = await self._round(messages, mended, failed)
            except (EngineUnavailable, EngineTimeout) as error:
                if not spare:
                    raise
                _LOG.warning("no repair: %s", error)
                break
        return mended

    async def _round(
        self, messages: Sequence[Message], so_far: Mended, failed: list[int]
    ) -> Mended:
        drafts = list(so_far.drafts)
        answers = await together(self._again(messages, drafts[place]) for place in failed)
        sent = [(place, answer) for place, answer in zip(failed, answers, strict=True) if answer]
        repairs = [Repair(place, drafts[place].sql, drafts[place].error or "") for place, _ in sent]
        for place, answer in sent:
            drafts[place] = draft(answer.choices[0], drafts[place].repaired + 1)
        return Mended(
            await self.checker.check(drafts),
            so_far.repairs + repairs,
            so_far.prompt_tokens + sum(answer.prompt_tokens for _, answer in sent),
            so_far.completion_tokens + sum(answer.completion_tokens for _, answer in sent),
        )

    async def _again(self, messages: Sequence[Message], failed: Draft) -> Completions | None:
        sampling = replace(self.sampling, n=1)
        try:
            return await self.engine.complete(
                repair_messages(messages, failed, self.schema), sampling, model=self.model
            )
        except TooLarge:
            return None
