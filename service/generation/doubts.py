"""Questions that are better not answered with SQL: ambiguous ones, and those on other things.

Decided before the model is asked, on words alone: pure, no model, no database, well under a
millisecond once the schema's words are known. The rules are made for English and silent on other
languages. docs/doubts.md has them with their measured rates.
"""

from collections.abc import Callable, Sequence

from service.generation.doubting.ambiguity import (
    Reading,
    same_head_in_table,
    same_name_in_tables,
    value_in_columns,
)
from service.generation.doubting.coverage import coverage
from service.generation.doubting.doubt import Doubt
from service.generation.doubting.followup import goes_on
from service.generation.doubting.judge import judge, not_held
from service.generation.doubting.measure import best_of_what
from service.generation.doubting.request import not_a_question
from service.generation.doubting.words import Token, is_english, tokens
from service.text2sql.prompt import Turn
from service.text2sql.schema import Schema
from service.text2sql.values.match import ValueMatch

__all__ = ["Doubt", "doubt"]

_RULES: tuple[Callable[[Reading], Doubt | None], ...] = (
    same_name_in_tables,
    same_head_in_table,
    value_in_columns,
    best_of_what,
)


def doubt(
    question: str,
    evidence: str,
    history: Sequence[Turn],
    schema: Schema,
    values: Sequence[ValueMatch] | None,
) -> Doubt | None:
    """Why this question should not be answered with SQL; None in all but plain cases.

    `values` are what value retrieval found in question and evidence; None if it was not asked, and
    then nothing is said to be missing, since any word could be a value. With `history` a question
    may leave out anything, so that only requests to change data and small talk are told.
    """
    if found := not_a_question(question):
        return found
    words = tokens(question)
    if history or not is_english(words):
        return None
    told = tokens(evidence)
    if not told and (back := goes_on(words, schema)):
        return back
    return _foreign(words, told, schema, values) or _ambiguous(words, told, schema, values or ())


def _foreign(
    words: Sequence[Token],
    told: Sequence[Token],
    schema: Schema,
    values: Sequence[ValueMatch] | None,
) -> Doubt | None:
    """Evidence that names anything of the schema says that the question is about it."""
    reading = Reading([*words, *told], schema, values or (), judge().empty)
    if values is None or any(reading.known.in_names(word.family) for word in told):
        return None
    found = coverage(words, reading.known, values, judge().empty)
    return not_held(found, schema) if judge().foreign(found) else None


def _ambiguous(
    words: Sequence[Token],
    told: Sequence[Token],
    schema: Schema,
    values: Sequence[ValueMatch],
) -> Doubt | None:
    reading = Reading([*words, *told], schema, values, judge().empty)
    return next((found for rule in _RULES if (found := rule(reading))), None)
