"""What a gold answers on a copy, if that is determinate. Standard library only."""

import re
import sqlite3

from service.sandbox.copies.answers import Answer, Row, same, segments
from service.sandbox.copies.mirror import mirror
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure, opened
from service.text2sql.bare import bare_variants
from service.text2sql.sqltext import orders_rows
from service.text2sql.ties import order_variants, tie_variants
from service.text2sql.tokens import tokens

MOST_ROWS = 20_000
"""A larger result on a copy says nothing: the copy is left out."""
_VOLATILE = re.compile(
    r"\brandom\b|\brandomblob\b|\bcurrent_(?:date|time|timestamp)\b|'now'|\browid\b|\b_rowid_\b"
    r"|\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)",
    re.IGNORECASE,
)


def rows_of(connection: Connection, sql: str, timeout_s: float) -> tuple[list[Row], int]:
    """All rows and the number of columns; raises Failure."""
    with connection.run(sql, timeout_s) as cursor:
        rows = cursor.fetchmany(MOST_ROWS + 1)
        columns = len(cursor.description or ())
    if len(rows) > MOST_ROWS:
        raise Failure("too_large", f"more than {MOST_ROWS} rows on a copy")
    return rows, columns


class Golds:
    """One copy, planted, as gold queries see it."""

    def __init__(self, image: bytes, limits: Limits) -> None:
        self._image = image
        self._limits = limits
        self._plain = Connection("", limits, from_image(image))
        self._reversed: Connection | None = None
        self._kept: dict[tuple[str, bool], Answer | None] = {}

    def close(self) -> None:
        """Give back the memory."""
        self._plain.close()
        if self._reversed:
            self._reversed.close()

    def answer(self, sql: str, metric: str, timeout_s: float) -> Answer | None:
        """The gold's answer; None if it fails, or may as well have been another.

        Raises Failure for one of ours, which says nothing and is not kept.
        """
        ordered = _counts_order(metric, sql)
        if (sql, ordered) not in self._kept:
            try:
                self._kept[sql, ordered] = self._determinate(sql, ordered, timeout_s)
            except Failure as failure:
                if failure.status == "infra_error":
                    raise
                self._kept[sql, ordered] = None
            except sqlite3.Error:
                self._kept[sql, ordered] = None
        return self._kept[sql, ordered]

    def _determinate(self, sql: str, ordered: bool, timeout_s: float) -> Answer | None:
        if _VOLATILE.search(sql):
            return None
        rows, columns = rows_of(self._plain, sql, timeout_s)
        answer = Answer(rows, columns)
        variants = (order_variants if ordered else tie_variants)(sql, columns)
        if variants:
            broken = [rows_of(self._plain, variant, timeout_s)[0] for variant in variants]
            if not all(same("bag", answer, found, columns) for found in broken):
                return None
            answer = Answer(rows, columns, segments(*broken) if ordered else None)
        if not self._fixed_by_groups(sql, Answer(rows, columns), timeout_s):
            return None
        for other in (self._backwards(), self._mirrored(sql)):
            if not same("bag", Answer(rows, columns), *rows_of(other, sql, timeout_s)):
                return None
        return answer

    def _fixed_by_groups(self, sql: str, answer: Answer, timeout_s: float) -> bool:
        """False if a bare column could have had another value."""
        for variant in bare_variants(sql) or ():
            try:
                found = rows_of(self._plain, variant, timeout_s)[0]
            except Failure as failure:
                if failure.status == "infra_error":
                    raise
                return True  # grouped by an alias: only the order of storage can tell
            if not same("bag", answer, found, answer.columns):
                return False
        return True

    def _backwards(self) -> Connection:
        if self._reversed is None:
            self._reversed = Connection("", self._limits, from_image(self._image))
            self._reversed.reverse()
        return self._reversed

    def _mirrored(self, sql: str) -> Connection:
        names = {token.name.lower() for token in tokens(sql)}
        source = from_image(self._image)
        try:
            return Connection("", self._limits, mirror(source, names))
        finally:
            source.close()


def from_image(image: bytes) -> sqlite3.Connection:
    """A database in memory with these bytes as its file."""
    db = opened(":memory:")
    db.deserialize(image)
    return db


def _counts_order(metric: str, sql: str) -> bool:
    if metric == "strict":
        return orders_rows(sql)
    return metric.startswith("spider_exec") and "order by" in sql.lower()
