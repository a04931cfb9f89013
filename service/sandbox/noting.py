"""A connection that notes what a statement does, for an audit. Standard library only."""

import sqlite3

from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection

_SHOWN = 200  # characters of a name
_VERBS = {
    sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "a transaction",
    sqlite3.SQLITE_FUNCTION: "the function",
}


class NotingConnection(Connection):
    """A connection that notes which functions are called and what it first refused."""

    def __init__(self, path: str, limits: Limits, *, reverse: bool = False) -> None:
        self.functions: set[str] = set()
        self.refused = ""
        super().__init__(path, limits)
        if reverse:
            self._db.set_authorizer(None)
            self._db.execute("PRAGMA reverse_unordered_selects = ON")
            self._db.set_authorizer(self._authorize)

    def read_instead(self, content: bytes) -> None:
        """Read these bytes of a database from now on, under the same rules and limits."""
        self._db.set_authorizer(None)
        self._db.deserialize(content)
        self._db.set_authorizer(self._authorize)

    def asks_for_rowids(self) -> bool:
        """True if the last statement reads a rowid: then the order of storage is data too."""
        return any(column == "ROWID" for _, column in self.reads)

    def tables(self) -> list[str]:
        """Tables and views of the file that the last statement reads, sorted.

        The engine also names what a statement makes up itself (WITH, json_each): left out here.
        """
        # The last pair is what the engine reads itself, when json_each says what columns it has.
        read = {table.lower() for table, _ in self.reads - {("sqlite_master", "ROWID")}}
        with self.run("SELECT name FROM sqlite_master", 10.0) as cursor:
            known = [str(name) for (name,) in cursor if name]
        return sorted(name for name in {*known, "sqlite_master"} if name.lower() in read)

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, by: str | None
    ) -> int:
        if action == sqlite3.SQLITE_FUNCTION and second:
            self.functions.add(second.lower())
        answer = super()._authorize(action, first, second, schema, by)
        if answer != sqlite3.SQLITE_OK and not self.refused:
            self.refused = _refused(action, first, second)
        return answer


def _refused(action: int, first: str | None, second: str | None) -> str:
    """What was refused, in words: `DELETE Pets`."""
    if action not in _VERBS or first == "sqlite_master":
        return "a change to the schema"
    name = second if action == sqlite3.SQLITE_FUNCTION else first
    return f"{_VERBS[action]} {name or ''}".strip()[:_SHOWN]
