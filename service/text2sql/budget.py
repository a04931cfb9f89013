"""Make a schema's text fit into a number of tokens, and say what was left out for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from service.text2sql.longest import longest_part
from service.text2sql.pruning import grow
from service.text2sql.relevance import Place, ranked
from service.text2sql.schema import Schema
from service.text2sql.templates.template import Template

_LONG_TOKEN = 8
"""Characters; a text that would need longer tokens than that to fit is not counted first."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Most tokens of a whole prompt, chat template included, and how a text's are counted."""

    tokens: int
    count: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a prompt does not say of its schema, in the order of the schema.

    `columns` are those of tables that are shown, as `table.column`; those of `tables` are not
    listed. `examples` and `descriptions`: the template has them and the schema too.
    """

    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    examples: bool = False
    descriptions: bool = False

    @property
    def anything(self) -> bool:
        """Whether the prompt is not all that the template would show."""
        return bool(self.tables or self.columns or self.examples or self.descriptions)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The schema's text, the template that it is in, and what it lacks."""

    text: str
    template: Template
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class About:
    """What relevance is measured against: a text, and places that it surely means."""

    text: str
    places: frozenset[Place] = field(default_factory=frozenset)


@lru_cache(maxsize=32)
def whole(template: Template, schema: Schema) -> str:
    """The text of a whole schema, remembered: all questions on one database begin with it."""
    return template.render(schema)


def fit(
    schema: Schema, template: Template, about: About, room: int, count: Callable[[str], int]
) -> Fitted:
    """The longest of: all, without descriptions, without example values, with fewer columns.

    Tables and columns keep the order of the schema. `count` is called at most sixteen times, on
    whole texts; those of the whole schema are the same for every question. Raises Overflow when
    not even one column with its keys fits into `room` tokens.
    """
    longest, *shorter = _distinct(schema, template)
    text, tokens, looked = whole(longest, schema), 0, 0
    if len(text) <= _LONG_TOKEN * room:
        tokens, looked = count(text), 1
        if tokens <= room:
            return Fitted(text, longest, LeftOut())
    # The shortest next: where it is too long as well, no other need be counted.
    bare = shorter[-1] if shorter else longest
    if shorter or not looked:
        text = whole(bare, schema)
        tokens = count(text)
    lost = _options_lost(schema, template, bare)
    if tokens > room:
        growth = grow(schema, ranked(schema, about.text, about.places))
        small, text = longest_part(growth, bare.render, tokens, room, count)
        return Fitted(text, bare, _with_missing(lost, schema, small))
    for step in [longest, *shorter[:-1]][looked:]:
        if count(longer := whole(step, schema)) <= room:
            return Fitted(longer, step, _options_lost(schema, template, step))
    return Fitted(text, bare, lost)


def _distinct(schema: Schema, template: Template) -> Iterator[Template]:
    """The template and its shorter ones, those alone that give this schema another text."""
    before = template
    for step in template.shorter():
        if step is template or _options_lost(schema, before, step).anything:
            yield step
            before = step


def _options_lost(schema: Schema, asked: Template, given: Template) -> LeftOut:
    columns = [column for table in schema.tables for column in table.columns]
    described = any(column.description or column.value_description for column in columns)
    return LeftOut(
        examples=asked.examples > given.examples and any(column.examples for column in columns),
        descriptions=asked.descriptions > given.descriptions and described,
    )


def _with_missing(lost: LeftOut, schema: Schema, small: Schema) -> LeftOut:
    """Also lost: tables that the small one lacks, and columns of those that it has."""
    kept = {table.name: {column.name for column in table.columns} for table in small.tables}
    tables = (table.name for table in schema.tables if table.name not in kept)
    columns = (
        f"{table.name}.{column.name}"
        for table in schema.tables
        for column in table.columns
        if table.name in kept and column.name not in kept[table.name]
    )
    return replace(lost, tables=tuple(tables), columns=tuple(columns))
