"""The values of one database in SQLite's memory: exact forms in a B-tree, trigrams in FTS5.

A form is a folded text; the values that fold to it, and their columns, are its places. Only forms
that are mostly letters have trigrams: a misspelt number, date, hash or address is another one.
"""

import re
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from service.text2sql.values.read import DatabaseValues
from service.text2sql.values.text import folded

GRAM = 3
"""Characters of a trigram."""
_SCHEMA = """
CREATE TABLE spot (id INTEGER PRIMARY KEY, of_table TEXT NOT NULL, of_column TEXT NOT NULL);
CREATE TABLE form (id INTEGER PRIMARY KEY, folded TEXT NOT NULL UNIQUE);
CREATE TABLE place (form INTEGER, spot INTEGER, value TEXT, PRIMARY KEY (form, spot, value))
    WITHOUT ROWID;
"""
_TRIGRAMS = """
CREATE VIRTUAL TABLE gram USING fts5(folded, content='', detail=none, tokenize='trigram');
"""
_RARITY = """
INSERT INTO gram(gram) VALUES ('optimize');
CREATE VIRTUAL TABLE term USING fts5vocab(gram, row);
CREATE TABLE rarity (gram TEXT PRIMARY KEY, forms INTEGER) WITHOUT ROWID;
INSERT INTO rarity SELECT term, doc FROM term;
DROP TABLE term;
"""
_PLACES = """
SELECT of_table, of_column, value FROM place JOIN spot ON spot.id = place.spot
WHERE form = ? ORDER BY place.spot, value LIMIT ?
"""
_BATCH = 500  # parameters of one statement
_LETTERS = 0.6  # of a form that has trigrams
_ADDRESS = re.compile(r"://|@|^www\.|^\S*\d\S*[a-zA-Z]\S*\d\S*$")


@dataclass(frozen=True, slots=True)
class Place:
    """A value, its form and its column."""

    folded: str
    table: str
    column: str
    value: str


def has_trigrams() -> bool:
    """True where this process's SQLite has FTS5 with the trigram tokenizer (3.34 and later)."""
    with closing(sqlite3.connect(":memory:")) as trial:
        try:
            trial.executescript(_TRIGRAMS)
        except sqlite3.Error:
            return False
        return True


def build_table(values: DatabaseValues, *, trigrams: bool = True) -> bytes:
    """A new table of all the values, as the bytes of an SQLite database."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_SCHEMA)
        forms: dict[str, int] = {}
        for number, column in enumerate(values.columns):
            db.execute("INSERT INTO spot VALUES (?, ?, ?)", (number, column.table, column.column))
            places = [
                (forms.setdefault(folded(v), len(forms) + 1), number, v) for v in column.values
            ]
            db.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?)", places)
        db.execute("DELETE FROM place WHERE form = ?", (forms.pop("", -1),))
        db.executemany("INSERT INTO form VALUES (?, ?)", ((n, f) for f, n in forms.items()))
        if trigrams:
            _add_trigrams(db)
        db.commit()
        return bytes(db.serialize())


def _add_trigrams(db: sqlite3.Connection) -> None:
    db.executescript(_TRIGRAMS)
    one_of_each = db.execute(
        "SELECT form.id, folded, value FROM form JOIN place ON form = form.id GROUP BY form.id"
    )
    spelt = ((number, form) for number, form, value in one_of_each if _is_spelt(form, value))
    db.executemany("INSERT INTO gram (rowid, folded) VALUES (?, ?)", list(spelt))
    db.executescript(_RARITY)


def _is_spelt(form: str, value: str) -> bool:
    letters = sum(map(str.isalpha, form))
    return letters > GRAM and letters >= _LETTERS * len(form) and not _ADDRESS.search(value)


class ValueTable:
    """A table that `build_table` made. Any thread may ask; they take turns."""

    def __init__(self, image: bytes) -> None:
        self.size = len(image)
        """Bytes."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.deserialize(image)
        self._db.execute("PRAGMA query_only = ON")
        weakref.finalize(self, self._db.close)  # once nobody asks it any more
        known = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        self._fuzzy = "rarity" in known and has_trigrams()

    def places(self, forms: Iterable[str], most: int) -> list[Place]:
        """The values with one of these forms, at most `most` of each, in the schema's order."""
        known = self._select("SELECT id, folded FROM form WHERE folded IN ({marks})", forms)
        found: list[Place] = []
        for number, form in sorted(known):
            with self._lock:
                rows = self._db.execute(_PLACES, (number, most)).fetchall()
            found += [Place(form, *row) for row in rows]
        return found

    def alike(self, texts: Sequence[str], most: int, postings: int) -> list[str]:
        """Forms that share the most trigrams with one of the folded texts, `most` in all.

        Of each text the rarest trigrams are followed until they lead to `postings` forms.
        """
        if not self._fuzzy or not texts:
            return []
        shared: Counter[int] = Counter()
        for text in texts:
            for gram in self._rarest(text, postings // len(texts)):
                shared.update(self._forms_with(gram))
        best = [number for number, _ in shared.most_common(most)]
        sql = "SELECT folded FROM form WHERE id IN ({marks})"
        return [form for (form,) in self._select(sql, best)]

    def _rarest(self, text: str, postings: int) -> Iterator[str]:
        grams = {text[i : i + GRAM] for i in range(len(text) - GRAM + 1)}
        known = self._select("SELECT forms, gram FROM rarity WHERE gram IN ({marks})", grams)
        for forms, gram in sorted(known):
            postings -= forms
            if postings < 0:
                return
            yield gram

    def _forms_with(self, gram: str) -> Iterator[int]:
        # Quoted, so that nothing in it is an operator of FTS5's query language.
        phrase = '"' + gram.replace('"', '""') + '"'
        with self._lock:
            rows = self._db.execute(
                "SELECT rowid FROM gram WHERE gram MATCH ?", (phrase,)
            ).fetchall()
        return (number for (number,) in rows)

    def _select(self, sql: str, keys: Iterable[str] | Iterable[int]) -> Iterator[tuple[Any, ...]]:
        rest = iter(sorted({*keys}))
        while batch := list(islice(rest, _BATCH)):
            marks = ",".join("?" * len(batch))
            with self._lock:
                rows = self._db.execute(sql.format(marks=marks), batch).fetchall()
            yield from rows
