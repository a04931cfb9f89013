"""Which columns a question is about, in order: BM25 over the words of names and descriptions.

BM25 with its usual constants (Robertson and Zaragoza 2009, section 3.2), each column a document.
Nothing here is fitted to any data set, and no language is assumed beyond an English plural s.
"""

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from service.text2sql.schema import Column, Schema, Table

Place = tuple[int, int]
"""Index of a table in its schema, and of a column in its table."""

_Words = tuple[tuple[str, ...], str]
"""Words, those of a name repeated, and the name in lower case."""

_K1, _B = 1.2, 0.75
_NAME_COUNTS = 2
"""A word of the name counts as often as two of the description or the examples."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_LEAST_PART = 4
_PART_COUNTS = 0.5
"""A word of four letters or more that is a part of a name's (`school` in `schoolname`)."""


@dataclass(frozen=True, slots=True)
class _Document:
    counts: Counter[str]
    """Of the words that are asked about."""
    name: str
    length: int
    """Of all words."""


def words(text: str) -> list[str]:
    """Words in lower case, split at blanks, signs and camelCase, without a plural s."""
    return _plain_words(_HUMP.sub(" ", text))


def ranked(schema: Schema, text: str, first: Iterable[Place] = ()) -> list[Place]:
    """Every column, the most relevant to `text` first; equals in the order of the schema.

    Columns in `first` come before all others. A column counts for itself and for its table, a
    table for its name and its best column: so the table that the text is about comes whole before
    others that share a common word with it.
    """
    asked = frozenset([*words(text), *_plain_words(text)])
    places = [(t, c) for t, table in enumerate(schema.tables) for c in range(len(table.columns))]
    columns = [_document(_column_words(schema.tables[t].columns[c]), asked) for t, c in places]
    own = dict(zip(places, _scores(asked, columns), strict=True))
    tables = [_document(_table_words(table), asked) for table in schema.tables]
    named = _scores(asked, tables)
    best = [0.0] * len(schema.tables)
    for (t, _), score in own.items():
        best[t] = max(best[t], score)
    front = set(first)
    return sorted(
        places,
        key=lambda at: (at not in front, -(own[at] + best[at[0]] + named[at[0]]), at),
    )


def _document(parts: _Words, asked: frozenset[str]) -> _Document:
    found, name = parts
    return _Document(Counter([word for word in found if word in asked]), name, len(found))


@lru_cache(maxsize=2**13)
def _column_words(column: Column) -> _Words:
    """Remembered, since the columns are the same for each question on a database."""
    values = [value for value in column.examples if isinstance(value, str)]
    said = " ".join([column.description, column.value_description, *values])
    return _weighed(column.name) + tuple(_plain_words(said)), column.name.casefold()


def _table_words(table: Table) -> _Words:
    return _weighed(table.name), table.name.casefold()


def _weighed(name: str) -> tuple[str, ...]:
    return tuple(words(name) * _NAME_COUNTS)


def _scores(asked: Iterable[str], documents: Sequence[_Document]) -> list[float]:
    """One score >= 0 a document."""
    index = _Index(documents)
    scores = [0.0] * len(documents)
    usual = sum(document.length for document in documents) / max(len(documents), 1) or 1.0
    for word in sorted(asked):  # a sum of floats depends on its order
        counts = index.counts(word)
        weight = math.log(1 + (len(documents) - len(counts) + 0.5) / (len(counts) + 0.5))
        for i, count in counts.items():
            spread = _K1 * (1 - _B + _B * documents[i].length / usual)
            scores[i] += weight * count * (_K1 + 1) / (count + spread)
    return scores


class _Index:
    """Where a word is found, at a cost that grows with the places alone: questions can be long."""

    def __init__(self, documents: Sequence[_Document]) -> None:
        self._whole: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for i, document in enumerate(documents):
            for word, count in document.counts.items():
                self._whole[word][i] = count
        lines = [document.name + "\n" for document in documents]
        self._names = "".join(lines)
        self._ends = list(accumulate(len(line) for line in lines))

    def counts(self, word: str) -> dict[int, float]:
        """By document: how often it has the word, or one half where a part of its name is it."""
        parts = self._parts(word) if len(word) >= _LEAST_PART else ()
        return dict.fromkeys(parts, _PART_COUNTS) | self._whole.get(word, {})

    def _parts(self, word: str) -> Iterator[int]:
        at = self._names.find(word)
        while at >= 0:
            document = bisect_right(self._ends, at)
            yield document
            at = self._names.find(word, self._ends[document])


def _plain_words(text: str) -> list[str]:
    found = _WORD.findall(text.casefold())
    if not text.isascii():
        found = [part for word in found for part in _CJK.sub(_pairs, word).split()]
    return [_singular(word) for word in found]


def _pairs(run: re.Match[str]) -> str:
    """Each two neighbours, as search engines do for scripts that set no blanks between words."""
    text = run[0]
    return " " + " ".join(text[i : i + 2] for i in range(max(len(text) - 1, 1))) + " "


@lru_cache(maxsize=2**14)
def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word
