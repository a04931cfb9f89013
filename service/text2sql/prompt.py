"""Build the prompt for a question: one place for serving, training and evaluation.

The schema comes first and the question last, so that all questions on one database share a prefix
that the model server's cache can keep.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.text2sql.schema import Column, ForeignKey, Schema, Table, Value, quoted

TEMPLATE = "ddl-v1"
TEMPLATE_WITHOUT_EXAMPLES = "ddl-v1-no-examples"
"""For schemas that do not fit into the model's context otherwise."""

_SYSTEM = (
    "You are an expert in SQLite. Complete the SQL. Answer with one query in a ```sql block and "
    "nothing else."
)
_TASK = "Using valid SQLite, answer the following question for the tables provided above."
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(
    "add all alter and as autoincrement between case cast check collate commit constraint create"
    " current_date current_time current_timestamp default deferrable delete distinct drop else"
    " escape except exists foreign from group having if in index insert intersect into is isnull"
    " join limit not nothing notnull null on or order primary raise references returning select set"
    " table then to transaction union unique update using values when where".split()
)
"""Words that SQLite does not read as a name unless they are quoted."""


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    @classmethod
    def parse(cls, text: str) -> "Template":
        return cls(text)


@dataclass(frozen=True, slots=True)
class LeftOut:
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    examples: bool = False
    descriptions: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    tokens: int
    count: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Turn:
    question: str
    sql: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Chat messages, and the hash that names them in every answer."""

    messages: list[dict[str, str]]
    sha256: str
    """Of the canonical JSON of template and messages."""
    template: str
    left_out: LeftOut = LeftOut()


def build_prompt(
    schema: Schema, question: str, evidence: str = "", *, examples: bool = True, template: Template = None, values=(), history=(), budget=None
) -> Prompt:
    """The prompt for one question; `examples=False` leaves the example values out."""
    hint = [f"Hint: {evidence.strip()}"] if evidence.strip() else []
    asked = "\n".join([_TASK, *hint, question.strip()])
    messages = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": f"{_ddl(schema, examples)}\n\n{_commented(asked)}\n"},
    ]
    for t in history:
        messages += [{'role':'user','content':t.question},{'role':'assistant','content':t.sql}]
    template = TEMPLATE if examples else TEMPLATE_WITHOUT_EXAMPLES
    return Prompt(messages, _sha256(template, messages), template)


def _sha256(template: str, messages: list[dict[str, str]]) -> str:
    canonical = json.dumps(
        {"messages": messages, "template": template}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _commented(text: str) -> str:
    return "\n".join(f"-- {line}" for line in text.splitlines())


def _ddl(schema: Schema, examples: bool) -> str:
    return "\n\n".join(_create(table, examples) for table in schema.tables)


def _create(table: Table, examples: bool) -> str:
    lines = [*_column_lines(table), *_key_lines(table)]
    comments = [*(_comment(column, examples) for column in table.columns), *[""] * len(lines)]
    last = len(lines) - 1
    body = "\n".join(
        f"  {line}{',' if i < last else ''}{comments[i]}" for i, line in enumerate(lines)
    )
    return f"CREATE {table.kind.upper()} {_name(table.name)} (\n{body}\n);"


def _column_lines(table: Table) -> Iterator[str]:
    single = len(table.primary_key) == 1
    for column in table.columns:
        words = [_name(column.name), column.type]
        if single and column.primary_key:
            words.append("PRIMARY KEY")
        elif column.not_null:
            words.append("NOT NULL")
        yield " ".join(word for word in words if word)


def _key_lines(table: Table) -> Iterator[str]:
    if len(table.primary_key) > 1:
        yield f"PRIMARY KEY ({_names(table.primary_key)})"
    for key in table.foreign_keys:
        yield _foreign_key(key)


def _foreign_key(key: ForeignKey) -> str:
    parent = f" ({_names(key.parent_columns)})" if key.parent_columns else ""
    return f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {_name(key.parent)}{parent}"


def _comment(column: Column, examples: bool) -> str:
    if not examples or not column.examples:
        return ""
    return " -- e.g. " + ", ".join(_literal(value) for value in column.examples)


def _literal(value: Value) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _names(identifiers: tuple[str, ...]) -> str:
    return ", ".join(_name(identifier) for identifier in identifiers)


def _name(identifier: str) -> str:
    plain = _PLAIN.match(identifier) and identifier.lower() not in _RESERVED
    return identifier if plain else quoted(identifier)
