"""Try a model before people get it: fixed questions on the demo database, asked greedily.

What is compared with the live model is measured on it with the same prompts, once per model.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from service.demo import DEMO_DB_ID, questions_path
from service.engine.base import AdapterEngine, Completion, Message, Sampling
from service.errors import VeriSQLError
from service.generation.checker import Checker
from service.generation.context import Context, Contexts
from service.generation.draft import draft
from service.generation.task import GenerateTask
from service.generation.together import together
from service.models.check import Check
from service.models.parity import parity
from service.sandbox.executor import Executor
from service.text2sql.prompt import Budget, Template, build_prompt
from service.text2sql.questions import read_questions

MAX_TOKENS = 160
LOWEST_LOGPROB = -4.0
"""Mean of greedy tokens, nats. A model that knows what it says is above -1; -4 is a choice among
fifty equal tokens."""
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """What one model did with the prompts."""

    texts: tuple[str, ...]
    with_sql: float
    """Share of the answers that hold SQL, 0..1."""
    executable: float
    """Share of the answers whose SQL runs in the sandbox, 0..1."""
    mean_logprob: float | None
    """Mean over answers; None where the server gives none, or none that is a number."""


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """How much worse a model may be."""

    timeout_s: float = 180.0
    questions: int = 8
    """1..40, spread evenly over the demo's 40."""
    drop: float = 0.0
    """In the share of queries that run."""
    logprob_tolerance: float = 0.1
    """Between the trainer's record and the server, nats per token."""


class Canary:
    """Tries models of one engine."""

    def __init__(
        self,
        engine: AdapterEngine,
        executor: Executor,
        contexts: Contexts,
        template: Template,
        context_tokens: int,
        limits: CanaryLimits,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._contexts = contexts
        self._template = template
        self._prompt_tokens = context_tokens - MAX_TOKENS
        self._limits = limits
        self._known: dict[str, Reading] = {}

    async def judge(self, name: str, live: str, folder: Path) -> list[Check]:
        """Try the model `name` against the model `live`, both loaded; a failure is a check too."""
        limit = self._limits.timeout_s
        try:
            async with asyncio.timeout(limit):
                bar = await self._reading(live)
                tried = await self._measure(name)
                same = await parity(self._engine, name, folder, self._limits.logprob_tolerance)
        except TimeoutError:
            return [Check("time_s", False, None, limit, f"not done within {limit:g} s")]
        except VeriSQLError as error:
            return [Check("answers", False, None, None, f"{error.code}: {error.message}")]
        self._known = {live: bar, name: tried}
        return [*compare(tried, bar, self._limits.drop), *same]

    async def _reading(self, name: str) -> Reading:
        return self._known.get(name) or await self._measure(name)

    async def _measure(self, name: str) -> Reading:
        """Ask everything at once: the server makes batches. Raises what the engine raises."""
        prompts = await self._prompts()
        answers = await together(self._ask(name, prompt) for prompt in prompts)
        database = (await self._context()).database
        checker = Checker(self._executor, database, "run", max_rows=1)
        drafts = await checker.check([draft(answer) for answer in answers])
        return Reading(
            tuple(answer.text for answer in answers),
            fmean(d.sql is not None for d in drafts),
            fmean(d.error is None for d in drafts),
            _mean([answer.mean_logprob for answer in answers]),
        )

    async def _ask(self, name: str, messages: Sequence[Message]) -> Completion:
        sampling = Sampling(0.0, MAX_TOKENS, seed=0, logprobs=True)
        return (await self._engine.complete(messages, sampling, model=name)).choices[0]

    async def _context(self) -> Context:
        return await self._contexts.get(GenerateTask("", DEMO_DB_ID), values=False)

    async def _prompts(self) -> list[Sequence[Message]]:
        context = await self._context()
        budget = Budget(self._prompt_tokens, self._engine.count_tokens)
        asked, wanted = read_questions(questions_path()), self._limits.questions
        return [
            build_prompt(
                context.schema, q.question, q.evidence, template=self._template, budget=budget
            ).messages
            for q in asked[:: len(asked) // wanted][:wanted]
        ]


def compare(tried: Reading, live: Reading, drop: float) -> list[Check]:
    """What the new model must do as well as the live one, and what any model must."""
    lowest = max(0.0, live.executable - drop)
    logprob = tried.mean_logprob
    finite = logprob is not None and math.isfinite(logprob)
    different, must_differ = len(set(tried.texts)), min(2, len(set(live.texts)))
    said = f"of {len(tried.texts)}, e.g. {tried.texts[0][:_SHOWN]!r}"
    return [
        Check("answers_with_sql", tried.with_sql >= live.with_sql, tried.with_sql, live.with_sql),
        Check("executable", tried.executable >= lowest, tried.executable, lowest),
        Check(
            "mean_logprob",
            bool(finite and logprob is not None and logprob >= LOWEST_LOGPROB),
            logprob if finite else None,
            LOWEST_LOGPROB,
            f"the live model's is {live.mean_logprob}",
        ),
        Check("different_answers", different >= must_differ, different, must_differ, said),
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    mean = fmean(known) if len(known) == len(values) else math.nan
    return mean if math.isfinite(mean) else None
