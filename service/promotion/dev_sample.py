"""Questions of dev, asked greedily of two models with serving's own prompt, judged by execution."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.engine.base import Engine
from service.errors import TooLarge
from service.generation.ask import Asker
from service.generation.context import Contexts
from service.generation.draft import draft
from service.generation.generator import Defaults
from service.generation.task import GenerateTask
from service.generation.together import together
from service.models.check import Check
from service.text2sql.questions import Question
from service.text2sql.types import VerifyTask
from service.text2sql.verifier import Verifier

_AT_ONCE = 8
"""Questions under way: the model server makes batches, and people's own must get in between."""
_LEAST_JUDGED = 0.5
"""Share of the questions that were drawn."""
Pair = tuple[bool, bool]
"""Whether the new model was right, and whether the live one was."""


@dataclass(frozen=True, slots=True)
class DevSample:
    """Asks models of one engine."""

    engine: Engine
    contexts: Contexts
    verifier: Verifier
    defaults: Defaults

    async def compare(
        self, name: str, live: str, questions: Sequence[Question], drop: float
    ) -> Check:
        """Execution accuracy (`bird_ex`) of `name`, held against that of `live` less `drop`.

        Both as shares, 0..1, of the questions that both could be judged on. Raises what the engine
        and the verifier raise.
        """
        gate = asyncio.Semaphore(_AT_ONCE)

        async def both(question: Question) -> Pair | None:
            async with gate:
                new, old = await self._right(name, question), await self._right(live, question)
            return None if new is None or old is None else (new, old)

        answers = await together(map(both, questions))
        return held([pair for pair in answers if pair is not None], len(questions), drop)

    async def _right(self, model: str, question: Question) -> bool | None:
        """None where it cannot be known: too long a prompt, a gold that does not run."""
        task = GenerateTask(
            question.question, question.db_id, evidence=question.evidence, model=model
        )
        context = await self.contexts.get(task, values=self.defaults.values)
        asker = Asker(self.engine, self.defaults.context_tokens)
        try:
            asked = await asker.ask(context, task, self.defaults.template, None)
        except TooLarge:
            return None
        # Without SQL it is wrong, but only where the gold could have told.
        return await self._verdict(question, draft(asked.completions.choices[0]).sql or "")

    async def _verdict(self, question: Question, sql: str) -> bool | None:
        task = VerifyTask(question.db_id, (question.gold_sql,), (sql,), diff_rows=0)
        verdict = (await self.verifier.verify(task)).verdicts[0]
        return None if verdict.masked else verdict.status == "match"


def held(pairs: Sequence[Pair], drawn: int, drop: float) -> Check:
    """Whether the new model is right at least as often as the live one, less `drop`.

    It fails where fewer than half of the questions that were drawn could be judged.
    """
    if not pairs or len(pairs) < _LEAST_JUDGED * drawn:
        why = f"only {len(pairs)} of {drawn} questions could be judged"
        return Check("dev_sample", False, None, None, why)
    new, old = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    won, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    lowest = max(0.0, old / len(pairs) - drop)
    # The share is a float: a difference of exactly `drop` passes.
    passed = new / len(pairs) >= lowest - 1e-9
    said = f"{new} of {len(pairs)} right, the live model {old}; {won} won, {lost} lost"
    if left := drawn - len(pairs):
        said += f"; {left} not judged"
    return Check("dev_sample", passed, new / len(pairs), lowest, said)
