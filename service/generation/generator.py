"""From a question to an answer: the stages of POST /generate in their order."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from service.engine.base import Engine, EngineModel
from service.errors import AnswerTimeout, InvalidRequest
from service.generation.answer import (
    Asking,
    VerifiedQuery,
    answered,
    asked_back,
    from_verified,
)
from service.generation.ask import Asked, Asker, sampling_of
from service.generation.checker import Checker, Depth
from service.generation.context import Context, Contexts
from service.generation.dialects import known_dialect
from service.generation.doubts import Doubt, doubt
from service.generation.draft import draft
from service.generation.repair import Mended, Mender
from service.generation.stages import Report, Stage, unreported
from service.generation.task import GenerateAnswer, GenerateTask
from service.generation.vote import choose
from service.sandbox.executor import Executor
from service.text2sql.prompt import Template

_LONG_SQL = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a request does not say."""

    template: Template
    values: bool
    context_tokens: int
    """Prompt and answer together."""
    answer_timeout_s: float = 300.0
    """For one question as a whole; no repair begins in its second half."""


class VerifiedQueries(Protocol):
    """The part of feedback.FeedbackLoop that is needed here."""

    async def verified(
        self, db_id: str, database_sha256: str, question: str, evidence: str = ""
    ) -> VerifiedQuery | None:
        """The verified query that answers this question on that file, if there is one."""


class Generator:
    """Answers questions; its parts live as long as the service."""

    def __init__(
        self,
        executor: Executor,
        contexts: Contexts,
        engine: Engine,
        verified: VerifiedQueries,
        defaults: Defaults,
    ) -> None:
        self._executor = executor
        self._verified = verified
        self._contexts = contexts
        self._engine = engine
        self._defaults = defaults

    async def generate(self, task: GenerateTask, report: Report = unreported) -> GenerateAnswer:
        """Turn the question into SQL, and into rows where the task says so.

        `report` gets stages as they begin, and the model's text as it comes. Raises
        UnknownDatabase, DatabaseUnusable, InvalidRequest, TooLarge when the question is over the
        model's context, EngineOff, EngineUnavailable, EngineTimeout, AnswerTimeout, NoFreeWorker.
        SQL that fails is no error: the candidate says so.
        """
        began, limit_s = time.monotonic(), self._defaults.answer_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._answer(task, report, began)
        except TimeoutError as error:
            raise AnswerTimeout(
                f"no answer within {limit_s:g} s (VERISQL_ANSWER_TIMEOUT_S): ask for fewer "
                "candidates or repairs",
                retry_after_s=5,
            ) from error
        return replace(answer, latency_ms=round((time.monotonic() - began) * 1000, 1))

    async def _answer(self, task: GenerateTask, report: Report, began: float) -> GenerateAnswer:
        template = Template.parse(task.template) if task.template else self._defaults.template
        task = replace(task, dialect=known_dialect(task.dialect))
        sampling_of(task)  # refuses before anything is streamed
        asking = Asking(task, await self._context(task), self._engine.model or EngineModel(""))
        context = asking.context
        report(Stage("schema", f"{len(context.schema.tables)} tables"))
        if known := await self._known(asking, report):
            return known
        if task.clarify and (found := await _doubt(asking)):
            return asked_back(asking, found)
        self._engine.check_ready()  # a refusal after this would be an event of a stream
        streamed = None if report is unreported else report
        report(Stage("generating", f"{task.n} candidates" if task.n > 1 else "one candidate"))
        asker = Asker(self._engine, self._defaults.context_tokens)
        asked = await asker.ask(context, task, template, streamed)
        stop_at = began + self._defaults.answer_timeout_s / 2
        mended = await self._mended(asking, asked, report, stop_at)
        choice = choose(mended.drafts)
        mended = await self._with_rows(asking, mended, choice.index)
        tell = partial(answered, asking, asked, mended, choice)
        return await _told(tell, mended.drafts[choice.index].sql)

    async def _known(self, asking: Asking, report: Report) -> GenerateAnswer | None:
        """The verified query of the same question, if it still runs."""
        task, context = asking.task, asking.context
        if not task.verified or task.history:
            return None
        found = await self._verified.verified(
            task.db_id, context.sha256, task.question, task.evidence
        )
        if found is None:
            return None
        checker = self._checker(asking, "run" if task.execute else "compile")
        report(Stage("executing" if task.execute else "checking", checker.depth))
        checked = await checker.look(found.sql)
        if checked.error:
            return None
        return await _told(partial(from_verified, asking, found, checked), found.sql)

    async def _context(self, task: GenerateTask) -> Context:
        values = self._defaults.values if task.values is None else task.values
        if values and not self._defaults.values:
            raise InvalidRequest(
                "values is true, and this server looks no values up (VERISQL_VALUES=false): leave "
                "it out",
                param="values",
            )
        return await self._contexts.get(task, values=values)

    async def _mended(self, asking: Asking, asked: Asked, report: Report, stop_at: float) -> Mended:
        """The candidates as the SQL engine sees them, after as many repairs as are allowed."""
        task = asking.task
        checker = self._checker(asking, _depth(task), several=task.n > 1)
        report(Stage("checking" if checker.depth == "compile" else "executing", checker.depth))
        drafts = await checker.check([draft(choice) for choice in asked.completions.choices])
        mender = Mender(
            self._engine,
            checker,
            asking.context.schema,
            sampling_of(task),
            # The model that answered, though another one may be live by now.
            asked.completions.model.served_name,
            task.repair,
            stop_at,
        )
        if not task.repair or not mender.to_mend(drafts):
            return Mended(drafts)
        report(Stage("repairing", f"at most {task.repair} times"))
        return await mender.mend(asked.prompt.messages, drafts)

    async def _with_rows(self, asking: Asking, mended: Mended, chosen: int) -> Mended:
        """With the rows of the chosen candidate, where those of all were not kept.

        It runs once more for them. A query that fails this time, as one that calls random() may, is
        a candidate that is not valid.
        """
        picked = mended.drafts[chosen]
        if not asking.task.execute or picked.sql is None or picked.error is not None:
            return mended
        if picked.checked and picked.checked.rows is not None:
            return mended
        checked = await self._checker(asking, "run").look(picked.sql)
        drafts = list(mended.drafts)
        drafts[chosen] = replace(picked, checked=checked)
        return replace(mended, drafts=drafts)

    def _checker(self, asking: Asking, depth: Depth, *, several: bool = False) -> Checker:
        """`several` are 64 at most, each with a megabyte of rows: only the answer's are kept."""
        rows = asking.task.max_rows if depth == "run" else 0
        return Checker(self._executor, asking.context.database, depth, rows, not several)


async def _doubt(asking: Asking) -> Doubt | None:
    task, context = asking.task, asking.context
    values = context.values if context.sought else None
    asked = (task.question, task.evidence, task.history, context.schema, values)
    # In a thread, since the words of a schema with thousands of columns take a while to collect.
    return await asyncio.to_thread(doubt, *asked)


async def _told(tell: Callable[[], GenerateAnswer], sql: str | None) -> GenerateAnswer:
    # sqlglot may take seconds over a long query, in which others would wait.
    return await asyncio.to_thread(tell) if len(sql or "") > _LONG_SQL else tell()


def _depth(task: GenerateTask) -> Depth:
    if task.n > 1 and task.vote:
        return "compare"
    return "run" if task.execute else "compile"
