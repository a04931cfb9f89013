"""The dialect that a query is to be carried over to, and what a schema tells of its columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlglot import Dialect, exp

from service.text2sql.schema import Schema

Affinity = Literal["number", "text"]


@dataclass(frozen=True, slots=True)
class Target:
    """A dialect by sqlglot's name, and the schema where it is known."""

    dialect: str
    schema: Schema | None

    @property
    def divides_integers(self) -> bool:
        """Whether 7 / 2 is 3 there, as in SQLite."""
        return bool(Dialect.get_or_raise(self.dialect).TYPED_DIVISION)

    def affinity(self, node: exp.Expr) -> Affinity | None:
        """Whether a value is a number or a text, where that is known for sure."""
        inner = node.unnest()
        if isinstance(inner, exp.Literal):
            return "text" if inner.is_string else "number"
        if isinstance(inner, exp.TimeToStr | exp.DPipe | exp.Upper | exp.Lower | exp.Substring):
            return "text"
        if isinstance(inner, exp.Count | exp.Avg | exp.Sum | exp.Length | exp.Neg):
            return "number"
        if isinstance(inner, exp.Column):
            return self._column(inner.name)
        return None

    def _column(self, name: str) -> Affinity | None:
        found = {_affinity(type_) for type_ in self._types(name)}
        return found.pop() if len(found) == 1 else None

    def _types(self, name: str) -> Iterator[str]:
        for table in self.schema.tables if self.schema else ():
            for column in table.columns:
                if column.name.lower() == name.lower():
                    yield column.type.upper()


def _affinity(declared: str) -> Affinity | None:
    # https://www.sqlite.org/datatype3.html, section 3.1; NUMERIC is left open.
    if "INT" in declared or any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return "number"
    # Dates are kept as texts, whatever SQLite's rules make of the word.
    words = ("CHAR", "CLOB", "TEXT", "DATE", "TIME")
    return "text" if any(word in declared for word in words) else None
