"""Which name a table goes by: its own, unless that could be taken for another one in sight."""

from collections import Counter

from sqlglot import exp

from service.generation.explanation.say import identifier
from service.generation.quoting import sources


class Names:
    """The aliases in sight while a query is put in words, innermost last."""

    def __init__(self) -> None:
        self._stack: list[dict[str, str]] = []

    def enter(self, select: exp.Select) -> None:
        """From here on the tables of this select are in sight too."""
        taken = Counter(_names_within(select))
        outer = {shown.lower() for scope in self._stack for shown in scope.values()}
        outer |= {alias for scope in self._stack for alias in scope}
        scope = {}
        for source in sources(select):
            alias = source.alias_or_name
            is_clear = (
                isinstance(source, exp.Table)
                and isinstance(source.this, exp.Identifier)
                and taken[source.name.lower()] == 1
                and source.name.lower() not in outer
            )
            scope[alias.lower()] = source.name if is_clear else alias
        self._stack.append(scope)

    def leave(self) -> None:
        """The innermost select ends."""
        self._stack.pop()

    def table(self, alias: str) -> str:
        """The name shown for a table that the SQL calls `alias`."""
        for scope in reversed(self._stack):
            if alias.lower() in scope:
                return scope[alias.lower()]
        return alias

    def column(self, column: exp.Column) -> str:
        """`table.column`, or `column` where the SQL names no table."""
        parts = [identifier(part.name) for part in column.parts[:-2]]
        if column.table:
            parts.append(identifier(self.table(column.table)))
        name = "*" if isinstance(column.this, exp.Star) else identifier(column.name)
        return ".".join([*parts, name])

    def renamed(self, node: exp.Expr) -> exp.Expr:
        """A copy of the node with the shown names, but for what it declares itself."""
        copy = node.copy()
        own = set(_names_within(copy))
        for column in copy.find_all(exp.Column):
            shown = self.table(column.table)
            if column.table and column.table.lower() not in own and shown != column.table:
                column.set("table", exp.to_identifier(shown))
        return copy


def _names_within(node: exp.Expr) -> list[str]:
    tables = [table for table in node.find_all(exp.Table) if table.name]
    aliases = [alias for alias in node.find_all(exp.TableAlias) if alias.name]
    named = [t.name.lower() for t in tables]
    # An alias that repeats its own table's name takes nothing away from it.
    return named + [a.name.lower() for a in aliases if a.name.lower() != _own_table(a)]


def _own_table(alias: exp.TableAlias) -> str | None:
    table = alias.parent
    return table.name.lower() if isinstance(table, exp.Table) else None
