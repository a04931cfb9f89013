"""Ask the model: the prompt that fits into its context, and its answers."""

import asyncio
from dataclasses import dataclass
from functools import partial

from service.engine.base import Completions, Engine, Sampling
from service.errors import InvalidRequest, TooLarge
from service.generation.context import Context
from service.generation.stages import Piece, Report
from service.generation.task import GenerateTask
from service.text2sql.prompt import Budget, Prompt, Template
from service.text2sql.schema import Schema

_SEVERAL = 0.8  # the temperature at which several candidates differ
_MANY_COLUMNS = 300
_SHRINK = (1.0, 0.8, 0.6)
"""Parts of the context that are tried: where the model's tokenizer is not at hand its counts may be
too low."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompt, and what the model made of it."""

    prompt: Prompt
    completions: Completions


def sampling_of(task: GenerateTask) -> Sampling:
    """How the model is to answer; raises InvalidRequest for several candidates at temperature 0."""
    temperature = task.temperature
    if temperature is None:
        temperature = _SEVERAL if task.n > 1 else 0.0
    if task.n > 1 and temperature == 0:
        raise InvalidRequest(
            f"n is {task.n} at temperature 0, where all candidates would be equal: leave "
            "temperature out or set it above 0",
            param="temperature",
        )
    return Sampling(temperature, task.max_tokens, task.seed, task.n, logprobs=task.n > 1)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks one engine; prompt and answer together have `context_tokens` tokens."""

    engine: Engine
    context_tokens: int

    async def ask(
        self, context: Context, task: GenerateTask, template: Template, report: Report | None
    ) -> Asked:
        """Ask with as much of the schema as fits.

        Raises TooLarge, EngineOff, EngineUnavailable, EngineTimeout, InvalidRequest.
        """
        sampling = sampling_of(task)
        on_text = None if report is None else (lambda i, text: report(Piece(i, text)))
        refused: TooLarge | None = None
        for part in _SHRINK:
            try:
                prompt = await self._prompt(context, task, template, part)
            except TooLarge:
                if refused is None:
                    raise
                break  # its message would name the part for the whole; the server's own tells more
            try:
                answer = await self.engine.complete(
                    prompt.messages, sampling, model=task.model, on_text=on_text
                )
                return Asked(prompt, answer)
            except TooLarge as error:
                refused = error
        raise TooLarge(
            f"the schema of {task.db_id!r}, the question and max_tokens={task.max_tokens} do not "
            f"fit into the model's context of {self.context_tokens} tokens "
            f"(VERISQL_MAX_MODEL_LEN): {refused.message if refused else ''}",
            param="db_id",
        ) from refused

    async def _prompt(
        self, context: Context, task: GenerateTask, template: Template, part: float
    ) -> Prompt:
        """Raises TooLarge, which names the tokens of that part of the room as those allowed."""
        tokens = int((self.context_tokens - task.max_tokens) * part)
        build = partial(
            context.prompt,
            task.question,
            task.evidence,
            template,
            history=task.history,
            budget=Budget(tokens, self.engine.count_tokens),
        )
        # A schema of thousands of columns takes a tenth of a second, in which others would wait.
        return await asyncio.to_thread(build) if _wide(context.schema) else build()


def _wide(schema: Schema) -> bool:
    return sum(len(table.columns) for table in schema.tables) > _MANY_COLUMNS
