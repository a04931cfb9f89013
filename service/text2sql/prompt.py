"""Build the prompt for a question: one place for serving, training and evaluation.

What is stable comes first: the system message, the schema, the task; then what depends on the
question: earlier turns, matching values, the hint, the question. So all questions on one database
share a prefix that the model server's cache can keep, and a conversation only grows at its end.
The text of others is made harmless as text2sql/untrusted.py says.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import TooLarge
from service.text2sql.budget import About, Budget, Fitted, LeftOut, fit, whole
from service.text2sql.longest import Overflow
from service.text2sql.relevance import Place
from service.text2sql.schema import Schema
from service.text2sql.templates.template import DEFAULT, TEMPLATES, Template, TemplateName
from service.text2sql.templates.written import literal, name
from service.text2sql.untrusted import visible, without_tokens
from service.text2sql.values.match import ValueMatch

__all__ = [
    "DEFAULT",
    "TEMPLATES",
    "Budget",
    "LeftOut",
    "Prompt",
    "Template",
    "TemplateName",
    "Turn",
    "build_prompt",
]

CHAT_TOKENS = 32
"""Reserved for what a chat template adds once: openings, dates, the answer's header."""
MESSAGE_TOKENS = 8
"""Reserved for what a chat template adds to each message: its role and its end."""

_SYSTEM = (
    "You are an expert in SQLite. Complete the SQL. Answer with one query in a ```sql block and "
    "nothing else."
)
_TASK = "Using valid SQLite, answer the following question for the tables provided above."
_NEXT = "Now answer this question, which may refer to the earlier ones and their queries."
_VALUES = "Values in the database that the question may mean: "
_LONGEST_VALUE = 200  # characters

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the conversation, and the SQL that answered it."""

    question: str
    sql: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Chat messages, and the hash that names them in every answer."""

    messages: Messages
    sha256: str
    """Of the canonical JSON of template and messages."""
    template: str
    """Versioned name of the template as it was filled: a shorter one than asked for where example
    values or descriptions were left out."""
    left_out: LeftOut


def build_prompt(
    schema: Schema,
    question: str,
    evidence: str = "",
    *,
    template: Template = DEFAULT,
    values: Sequence[ValueMatch] = (),
    history: Sequence[Turn] = (),
    budget: Budget | None = None,
) -> Prompt:
    """The prompt for one question, whole or within the budget.

    Over the budget descriptions go first, then example values, then the tables and columns that
    question, hint, history and matching values have least to do with; `left_out` says which.
    Raises TooLarge when even the smallest prompt is over the budget. Without a budget nothing is
    left out.
    """
    asked = _asked(question, evidence, values, history)
    about = _about(schema, question, evidence, values, history)
    fitted = _fitted(schema, template, asked, about, budget)
    first, *others = asked
    text = f"{fitted.text}\n\n{first['content']}"
    messages = [_message("system", _SYSTEM), _message("user", text), *others]
    used = str(fitted.template)
    return Prompt(messages, _sha256(used, messages), used, fitted.left_out)


def _fitted(
    schema: Schema, template: Template, asked: Messages, about: About, budget: Budget | None
) -> Fitted:
    if budget is None:
        return Fitted(whole(template, schema), template, LeftOut())
    rest = "\n".join([_SYSTEM, *(message["content"] for message in asked)])
    taken = budget.count(rest) + CHAT_TOKENS + MESSAGE_TOKENS * (len(asked) + 1)
    try:
        return fit(schema, template, about, budget.tokens - taken, budget.count)
    except Overflow as overflow:
        raise TooLarge(
            f"the prompt needs at least {taken + overflow.needed} tokens and {budget.tokens} are "
            f"allowed: {taken} are taken by the question with its hint, values and history, and "
            f"even the most relevant column of {schema.db_id!r} with its keys, without "
            f"descriptions and example values, takes {overflow.needed}",
            param="question" if taken >= budget.tokens else "db_id",
        ) from overflow


def _about(
    schema: Schema,
    question: str,
    evidence: str,
    values: Sequence[ValueMatch],
    history: Sequence[Turn],
) -> About:
    earlier = (text for turn in history for text in (turn.question, turn.sql))
    phrases = (value.phrase for value in values)
    named = {(value.table, value.column) for value in values}
    places: set[Place] = {
        (t, c)
        for t, table in enumerate(schema.tables)
        for c, column in enumerate(table.columns)
        if (table.name, column.name) in named
    }
    return About("\n".join([question, evidence, *earlier, *phrases]), frozenset(places))


def _asked(
    question: str, evidence: str, values: Sequence[ValueMatch], history: Sequence[Turn]
) -> Messages:
    """What follows the schema: the user's first message goes on from there."""
    parts = [*([_VALUES + _listed(values)] if values else [])]
    parts += [f"Hint: {evidence.strip()}"] if evidence.strip() else []
    parts.append(question.strip())
    if not history:
        return [_user([_TASK, *parts])]
    messages: Messages = []
    for turn in history:
        messages.append(_user([_NEXT if messages else _TASK, turn.question.strip()]))
        messages.append(_message("assistant", f"```sql\n{without_tokens(turn.sql.strip())}\n```"))
    return [*messages, _user([_NEXT, *parts])]


def _listed(values: Sequence[ValueMatch]) -> str:
    """Each column's values once, the columns in the order in which they are given."""
    found: dict[str, dict[str, None]] = {}
    for match in values:
        place = f"{name(match.table)}.{name(match.column)}"
        whole = len(match.value) <= _LONGEST_VALUE
        shown = match.value if whole else match.value[:_LONGEST_VALUE] + "…"
        found.setdefault(place, {})[literal(shown)] = None
    return "; ".join(f"{place} = {' or '.join(shown)}" for place, shown in found.items())


def _user(parts: Sequence[str]) -> dict[str, str]:
    """A message of comments, so that no part can pass for SQL or for the schema."""
    lines = [line for part in parts for line in part.splitlines()]
    commented = "\n".join(f"-- {visible(line)}" for line in lines)
    return _message("user", without_tokens(commented) + "\n")


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _sha256(template: str, messages: Messages) -> str:
    canonical = json.dumps(
        {"messages": messages, "template": template}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
