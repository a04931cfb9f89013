"""From questions to training rows: golds run first, prompts built, misfits counted."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import DatabaseUnusable, UnknownDatabase
from service.text2sql.context import Context, Sources
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.prompt import DEFAULT, Prompt, Template
from service.text2sql.questions import Question
from service.text2sql.schema import SchemaCache
from service.text2sql.values.index import ValueIndexes
from trainer.errors import NoTrainingRows
from trainer.golds import asked_once, sound_questions
from trainer.schedule import schedule
from trainer.verifier_thread import VerifierThread

__all__ = ["CountTokens", "Messages", "Prepared", "Row", "look_up", "prepare", "schedule"]

Messages = list[dict[str, str]]
CountTokens = Callable[[Messages], int]


@dataclass(frozen=True, slots=True)
class Row:
    """One question, ready to be sampled from."""

    question_id: str
    db_id: str
    gold_sql: list[str]
    """Empty where the question has no gold and needs none."""
    prompt: Messages
    prompt_tokens: int
    prompt_sha256: str
    """What serving says of the same question in the same template."""
    template: str
    """As the prompt was filled: shorter than asked for where that was too long."""
    question: Question


@dataclass(slots=True)
class Prepared:
    """The rows that can be trained on, and why the others cannot."""

    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def templates(self) -> Counter[str]:
        """Rows by the template of their prompt."""
        return Counter(row.template for row in self.rows)

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
    kept_golds: Path | None = None,
    need_gold: bool = True,
) -> Prepared:
    """Rows in the order of the questions; raises NoTrainingRows if none is left.

    Left out and counted: unknown_database; golds that cannot judge, by the faults of golds.Gold,
    and questions asked more than once (golds.sound_questions); and prompts of more than
    `max_prompt_tokens` (prompt_too_long), even without descriptions and example values: a schema
    that is cut would ask for the impossible. `values` finds what the prompts say of the database's
    own values, None leaves that out. `kept_golds` is a file of the run that remembers the golds'
    results. Without `need_gold` golds are not run, and may be missing.
    """
    prepared = Prepared()
    dropped = prepared.dropped
    known = [q for q in questions if _is_known(q.db_id, verifier.registry)]
    dropped["unknown_database"] = len(questions) - len(known)
    if need_gold:
        with_gold = [q for q in known if q.gold_sql]
        dropped["no_gold"] = len(known) - len(with_gold)
        fit = sound_questions(with_gold, verifier, dropped, kept_golds)
    else:
        fit = asked_once(known, dropped)
    templates = template.shorter()
    for question, context in zip(fit, look_up(fit, verifier, values), strict=True):
        if context is None:
            dropped["database_unusable"] += 1
        elif fitting := _fitting(context, question, templates, count_tokens, max_prompt_tokens):
            prepared.rows.append(_row(question, *fitting))
        else:
            dropped["prompt_too_long"] += 1
    prepared.dropped += Counter()  # Without the zeros.
    if not prepared.rows:
        raise NoTrainingRows(_nothing_left(prepared.dropped, max_prompt_tokens), param="train_data")
    return prepared


def look_up(
    questions: Sequence[Question], verifier: VerifierThread, values: ValueIndexes | None
) -> list[Context | None]:
    """What each question is asked about, exactly as serving finds it, in order.

    None where the database has no tables or cannot be read. Raises NoFreeWorker.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, question in enumerate(questions):
        places[question.db_id].append(place)
    schemas = SchemaCache(max(1, len(places)))
    sources = Sources(verifier.executor, verifier.registry, schemas, values)

    async def one_database(db_id: str) -> list[Context | None]:
        # One after the other: the first makes schema and index, the others find them.
        return [await _context(sources, questions[place]) for place in places[db_id]]

    found: list[Context | None] = [None] * len(questions)
    for where, contexts in zip(
        places.values(), verifier.run_each(one_database, list(places)), strict=True
    ):
        for place, context in zip(where, contexts, strict=True):
            found[place] = context
    return found


async def _context(sources: Sources, question: Question) -> Context | None:
    try:
        return await sources.context(question.db_id, question.question, question.evidence)
    except DatabaseUnusable:
        return None


def _is_known(db_id: str, registry: DatabaseRegistry) -> bool:
    try:
        registry.get(db_id)
    except (UnknownDatabase, DatabaseUnusable):
        return False
    return True


def _row(question: Question, prompt: Prompt, tokens: int) -> Row:
    return Row(
        question_id=question.question_id,
        db_id=question.db_id,
        gold_sql=[question.gold_sql] if question.gold_sql else [],
        prompt=prompt.messages,
        prompt_tokens=tokens,
        prompt_sha256=prompt.sha256,
        template=prompt.template,
        question=question,
    )


def _fitting(
    context: Context,
    question: Question,
    templates: Sequence[Template],
    count_tokens: CountTokens,
    max_tokens: int,
) -> tuple[Prompt, int] | None:
    """The prompt and its length, in the first of the templates that is short enough."""
    for template in templates:
        prompt = context.prompt(question.question, question.evidence, template)
        tokens = count_tokens(prompt.messages)
        if tokens <= max_tokens:
            return prompt, tokens
    return None


def _nothing_left(dropped: Counter[str], max_prompt_tokens: int) -> str:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()))
    hint = f" (max_prompt_tokens is {max_prompt_tokens})" if dropped["prompt_too_long"] else ""
    return f"no question of the training data can be used; left out: {reasons}{hint}"
