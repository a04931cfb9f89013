"""A query in plain English, made from its own tree and nothing else, so that it cannot lie.

What has no words here is quoted as SQL between back quotes. Names of columns are shown as the SQL
has them; the alias of a table gives way to the table's name where that is clear.
"""

from sqlglot import exp
from sqlglot.errors import SqlglotError

from service.generation.explanation import conditions, queries, values
from service.generation.explanation.names import Names
from service.generation.reading import read
from service.text2sql.schema import Schema


def explain(sql: str, schema: Schema) -> str | None:
    """The query in short sentences, or None where it cannot be parsed within reading.py's bounds.

    The schema is asked for one thing only: whether a name in double quotes is a column or a text.
    """
    tree = read(sql, schema)
    if tree is None:
        return None
    try:
        return _sentences(Speaker().clauses(tree))
    except (RecursionError, SqlglotError, ValueError):
        return None


def _sentences(clauses: list[str]) -> str:
    first, *rest = clauses
    said = [f"Lists {first}", *(clause[0].upper() + clause[1:] for clause in rest)]
    return ". ".join(said) + "."


class Speaker:
    """The families of words together; knows which tables are in sight (see say.Say)."""

    def __init__(self) -> None:
        self._names = Names()

    def clauses(self, node: exp.Expr) -> list[str]:
        """The clauses of one query, its tables in sight while they are written."""
        if not isinstance(node, exp.Select):
            return queries.clauses(self, node)
        self._names.enter(node)
        said = queries.clauses(self, node)
        self._names.leave()
        return said

    def query(self, node: exp.Expr) -> str:
        """The query in brackets, as part of a sentence."""
        while isinstance(node, exp.Subquery) and set(_given(node)) == {"this"}:
            node = node.this
        if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query):
            return self.verbatim(node)
        return f"({'; '.join(self.clauses(node))})"

    def value(self, node: exp.Expr) -> str:
        """See Say."""
        return values.value(self, node)

    def part(self, node: exp.Expr) -> str:
        """See Say."""
        return values.part(self, node)

    def operand(self, node: exp.Expr) -> str:
        """See Say."""
        return values.operand(self, node)

    def condition(self, node: exp.Expr) -> str:
        """See Say; a bare value is a condition by being true."""
        return conditions.condition(self, node) or f"{self.part(node)} is true"

    def order(self, node: exp.Expr) -> str:
        """See Say."""
        return queries.order_terms(self, node)

    def verbatim(self, node: exp.Expr) -> str:
        """See Say."""
        return f"`{self._names.renamed(node).sql('sqlite')}`"

    def column(self, node: exp.Column) -> str:
        """See Say."""
        return self._names.column(node)

    def table(self, alias: str) -> str:
        """See Say."""
        return self._names.table(alias)


def _given(node: exp.Expr) -> list[str]:
    return [name for name, part in node.args.items() if part]
