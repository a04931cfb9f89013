"""What a doubt is, and how names are written in one."""

from dataclasses import dataclass
from typing import Literal

from service.text2sql.schema import Schema

_MOST_OPTIONS = 5
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a question is not answered with SQL; `text` is said to the one who asked."""

    status: Literal["clarify", "cannot_answer"]
    text: str
    options: tuple[str, ...] = ()
    """What can be chosen, as it can be put into the evidence; empty where nothing is offered."""


def ask(question: str, options: tuple[str, ...]) -> Doubt:
    """A question back, which names the options."""
    return Doubt("clarify", f"{question} {either(options)}?", options)


def either(options: tuple[str, ...]) -> str:
    """`a`, `b` or `c`."""
    return ", ".join(options[:-1]) + " or " + options[-1] if len(options) > 1 else "".join(options)


def column_name(table: str, column: str) -> str:
    """A column as texts name it."""
    return f"{quoted(table)}.{quoted(column)}"


def quoted(name: str) -> str:
    """A name in backticks, on one line and not too long."""
    line = " ".join(name.replace("`", "'").split())
    return f"`{line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + '…'}`"


def tables_of(schema: Schema) -> tuple[str, ...]:
    """The first tables, as options."""
    return tuple(quoted(table.name) for table in schema.tables[:_MOST_OPTIONS])
