"""From a file of questions to training rows: golds run first, prompts built, misfits counted."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from service.errors import DatabaseUnusable, UnknownDatabase
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.prompt import DEFAULT, Prompt, Template, build_prompt
from service.text2sql.questions import Question
from service.text2sql.schema import Schema, read_schema
from service.text2sql.types import VerifyReport, VerifyTask
from service.text2sql.values.index import ValueIndexes
from service.text2sql.values.match import ValueMatch
from trainer.errors import NoTrainingRows
from trainer.verifier_thread import VerifierThread

Messages = list[dict[str, str]]
CountTokens = Callable[[Messages], int]


@dataclass(frozen=True, slots=True)
class Row:
    """One question, ready to be sampled from."""

    question_id: str
    db_id: str
    gold_sql: list[str]
    prompt: Messages
    prompt_tokens: int


@dataclass(slots=True)
class Prepared:
    """The rows that can be trained on, and why the others cannot."""

    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)
    """Rows by the template of their prompt."""

    @property
    def longest_prompt(self) -> int:
        """In tokens."""
        return max(row.prompt_tokens for row in self.rows)


def prepare(
    questions: Sequence[Question],
    verifier: VerifierThread,
    count_tokens: CountTokens,
    max_prompt_tokens: int,
    template: Template = DEFAULT,
    *,
    values: ValueIndexes | None = None,
) -> Prepared:
    """Rows in the order of the questions; raises NoTrainingRows if none is left.

    Left out and counted: unknown_database, and golds that fail (gold_error), are slow
    (gold_timeout), find nothing (gold_empty: any wrong query that finds nothing would match) or do
    not match themselves (gold_unstable: random(), now); and prompts of more than
    `max_prompt_tokens` (prompt_too_long), even without descriptions and example values: a schema
    that is cut would ask for the impossible.
    """
    known = [q for q in questions if _is_known(q.db_id, verifier.registry)]
    prepared = Prepared()
    prepared.dropped["unknown_database"] = len(questions) - len(known)
    sound = list(_sound(known, verifier, prepared.dropped))
    schemas = verifier.run(_schemas(sorted({q.db_id for q in sound}), verifier))
    found = verifier.run(_values(sound, schemas, verifier, values))
    templates = template.shorter()
    for question, named in zip(sound, found, strict=True):
        schema = schemas[question.db_id]
        fitting = _fitting(schema, question, named, templates, count_tokens, max_prompt_tokens)
        if fitting is None:
            prepared.dropped["prompt_too_long"] += 1
            continue
        prompt, tokens = fitting
        gold = [question.gold_sql]
        row = Row(question.question_id, question.db_id, gold, prompt.messages, tokens)
        prepared.rows.append(row)
        prepared.templates[prompt.template] += 1
    prepared.dropped += Counter()  # Without the zeros.
    if not prepared.rows:
        raise NoTrainingRows(_nothing_left(prepared.dropped, max_prompt_tokens), param="train_data")
    return prepared


def schedule(rows: int, prompts_per_step: int, steps: int, seed: int) -> list[int]:
    """Which row is asked when: `steps * prompts_per_step` indices, every pass shuffled anew.

    A function of its arguments alone, so a resumed run meets the same questions in the same order.
    Passes follow one another without a gap: no row is left out for want of a full step.
    """
    return list(islice(_passes(rows, seed), steps * prompts_per_step))


def _passes(rows: int, seed: int) -> Iterator[int]:
    order = list(range(rows))
    generator = random.Random(seed)  # noqa: S311 - an order, not a secret.
    while True:
        generator.shuffle(order)
        yield from order


def _is_known(db_id: str, registry: DatabaseRegistry) -> bool:
    try:
        registry.get(db_id)
    except (UnknownDatabase, DatabaseUnusable):
        return False
    return True


def _sound(
    questions: Sequence[Question], verifier: VerifierThread, dropped: Counter[str]
) -> Iterator[Question]:
    """Questions whose gold the verifier itself finds equal to itself, and not empty."""
    tasks = [VerifyTask(q.db_id, (q.gold_sql,), (q.gold_sql,)) for q in questions]
    for question, report in zip(questions, verifier.verify(tasks), strict=True):
        fault = _gold_fault(report)
        if fault is None:
            yield question
        else:
            dropped[fault] += 1


def _gold_fault(report: VerifyReport) -> str | None:
    if report.gold.status != "ok":
        return report.gold.status
    if not report.gold.rows:
        return "gold_empty"
    return None if report.verdicts[0].status == "match" else "gold_unstable"


def _fitting(
    schema: Schema,
    question: Question,
    values: Sequence[ValueMatch],
    templates: Sequence[Template],
    count_tokens: CountTokens,
    max_tokens: int,
) -> tuple[Prompt, int] | None:
    """The prompt and its length, in the first of the templates that is short enough."""
    for template in templates:
        prompt = build_prompt(
            schema, question.question, question.evidence, template=template, values=values
        )
        tokens = count_tokens(prompt.messages)
        if tokens <= max_tokens:
            return prompt, tokens
    return None


async def _schemas(db_ids: Sequence[str], verifier: VerifierThread) -> dict[str, Schema]:
    executor, registry = verifier.executor, verifier.registry
    return {db_id: await read_schema(executor, registry.get(db_id)) for db_id in db_ids}


async def _values(
    questions: Sequence[Question],
    schemas: dict[str, Schema],
    verifier: VerifierThread,
    indexes: ValueIndexes | None,
) -> list[list[ValueMatch]]:
    """What each question names, as serving finds it."""
    if indexes is None:
        return [[] for _ in questions]
    executor, registry = verifier.executor, verifier.registry
    found = []
    for one in questions:
        sha256 = await registry.sha256_async(one.db_id)
        text = f"{one.question}\n{one.evidence}"
        schema = schemas[one.db_id]
        database = registry.get(one.db_id)
        found.append(await indexes.find(executor, database, sha256, schema, text))
    return found


def _nothing_left(dropped: Counter[str], max_prompt_tokens: int) -> str:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()))
    hint = f" (max_prompt_tokens is {max_prompt_tokens})" if dropped["prompt_too_long"] else ""
    return f"no question of the training data can be used; left out: {reasons}{hint}"
