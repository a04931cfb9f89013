"""What each family of constructs may ask of the others, and how lists and fragments are written."""

from collections.abc import Sequence
from typing import Protocol

from sqlglot import exp


class Say(Protocol):
    """Turns a node of the tree into words; every text can stand inside a sentence."""

    def value(self, node: exp.Expr) -> str:
        """A value, such as "the average of age"."""

    def part(self, node: exp.Expr) -> str:
        """A value that stands in a list or a comparison: in brackets if it holds "or", "if", ..."""

    def operand(self, node: exp.Expr) -> str:
        """A value beside an operator: in brackets unless it is one name, number, text or call."""

    def condition(self, node: exp.Expr) -> str:
        """A condition, such as "age is more than 5"."""

    def query(self, node: exp.Expr) -> str:
        """A query in brackets, its clauses apart by semicolons."""

    def order(self, node: exp.Expr) -> str:
        """The terms of an ORDER BY: "age, highest first, then name, lowest first"."""

    def verbatim(self, node: exp.Expr) -> str:
        """The SQL itself, for what has no words here."""

    def column(self, node: exp.Column) -> str:
        """A column's name, its table's own name before it where the SQL has one."""

    def table(self, alias: str) -> str:
        """The name that is shown for a table with that alias."""


def listed(parts: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def has_only(node: exp.Expr, *names: str) -> bool:
    """Whether nothing but these parts of the node is set."""
    return all(not value or name in names for name, value in node.args.items())


def identifier(name: str) -> str:
    """A name as it can be read back: in double quotes unless it is one plain word."""
    plain = name.replace("_", "a").isalnum()
    return name if plain else '"' + name.replace('"', '""') + '"'
