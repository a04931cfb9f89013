"""From a question to an answer: the stages of POST /generate in their order."""

import time
from dataclasses import dataclass, replace
from typing import Protocol

from service.engine.base import Engine, EngineModel
from service.generation.answer import Asking, VerifiedQuery, answered, from_verified
from service.generation.ask import Asked, Asker, sampling_of
from service.generation.checker import Checker, Depth
from service.generation.context import Context, Contexts
from service.generation.dialects import known_dialect
from service.generation.draft import draft
from service.generation.repair import Mended, Mender
from service.generation.stages import Report, Stage, unreported
from service.generation.task import GenerateAnswer, GenerateTask
from service.generation.vote import choose
from service.sandbox.executor import Executor
from service.text2sql.prompt import Template


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a request does not say."""

    template: Template
    values: bool
    context_tokens: int
    """Prompt and answer together."""


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
        model's context, EngineOff, EngineUnavailable, EngineTimeout, NoFreeWorker. SQL that fails
        is no error: the candidate says so.
        """
        began = time.perf_counter()
        answer = await self._answer(task, report)
        return replace(answer, latency_ms=round((time.perf_counter() - began) * 1000, 1))

    async def _answer(self, task: GenerateTask, report: Report) -> GenerateAnswer:
        template = Template.parse(task.template) if task.template else self._defaults.template
        known_dialect(task.dialect)
        asking = Asking(task, await self._context(task), self._engine.model or EngineModel(""))
        context = asking.context
        report(Stage("schema", f"{len(context.schema.tables)} tables"))
        if known := await self._known(asking, report):
            return known
        streamed = None if report is unreported else report
        report(Stage("generating", f"{task.n} candidates" if task.n > 1 else "one candidate"))
        asker = Asker(self._engine, self._defaults.context_tokens)
        asked = await asker.ask(context, task, template, streamed)
        mended = await self._mended(context, task, asked, report)
        return answered(asking, asked, mended, choose(mended.drafts))

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
        depth: Depth = "run" if task.execute else "compile"
        report(Stage("executing" if task.execute else "checking", depth))
        checker = Checker(self._executor, context.database, depth, task.max_rows)
        checked = await checker.look(found.sql)
        return None if checked.error else from_verified(asking, found, checked)

    async def _context(self, task: GenerateTask) -> Context:
        values = self._defaults.values if task.values is None else task.values
        return await self._contexts.get(task, values=values)

    async def _mended(
        self, context: Context, task: GenerateTask, asked: Asked, report: Report
    ) -> Mended:
        """The candidates as the SQL engine sees them, after as many repairs as are allowed."""
        depth = _depth(task)
        checker = Checker(self._executor, context.database, depth, task.max_rows)
        report(Stage("checking" if depth == "compile" else "executing", depth))
        drafts = await checker.check([draft(choice) for choice in asked.completions.choices])
        if not task.repair or all(d.error is None for d in drafts):
            return Mended(drafts, [])
        report(Stage("repairing", f"at most {task.repair} times"))
        sampling = sampling_of(task)
        # The model that answered, though another one may be live by now.
        model = asked.completions.model.served_name
        mender = Mender(self._engine, checker, sampling, model, task.repair)
        return await mender.mend(asked.prompt.messages, drafts)


def _depth(task: GenerateTask) -> Depth:
    if task.n > 1 and task.vote:
        return "compare"
    return "run" if task.execute else "compile"
