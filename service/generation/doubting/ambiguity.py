"""Nouns of a question that fit several columns equally well, with nothing to tell them apart.

The ambiguities are those of AmbiQT (Bhaskar et al. 2023, arXiv 2310.13659): the same noun for
columns of several tables, and for several columns of one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.generation.doubting.doubt import Doubt, ask, column_name
from service.generation.doubting.places import LONGEST, Place, Places, mentions, places
from service.generation.doubting.vocabulary import Vocabulary, vocabulary
from service.generation.doubting.words import Token, family, name_parts
from service.text2sql.schema import Schema
from service.text2sql.values.match import ValueMatch
from service.text2sql.values.words import COMMON_WORDS

_MOST_OPTIONS = 4
_SHORT = 2
_ALL_OF_THEM = frozenset(
    "name id code key number line address date time year detail type part".split()
)
"""Heads whose columns are asked for together: a name is first and last name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rules look at."""

    words: Sequence[Token]
    """Of question and evidence."""
    schema: Schema
    values: Sequence[ValueMatch]
    empty: frozenset[str]

    @property
    def known(self) -> Vocabulary:
        """The schema's words."""
        return vocabulary(self.schema)

    @property
    def at(self) -> Places:
        """The schema's columns."""
        return places(self.schema)

    @property
    def tables(self) -> set[str]:
        """Tables of whose names a word is said."""
        return {table for w in self.words for table in self.known.tables.get(w.family, ())}

    def says_more_than(self, spans: Sequence[tuple[int, int]]) -> bool:
        """Whether a word of the subject, or what may be a value, stands outside of those spans."""
        inside = {number for start, end in spans for number in range(start, end)}
        return any(self._carries(w) for n, w in enumerate(self.words) if n not in inside)

    def _carries(self, word: Token) -> bool:
        if len(word.text) <= _SHORT and not word.text.isdigit():
            return word.literal
        if word.text in COMMON_WORDS:
            return False
        if word.literal:
            return not word.text.isdigit()
        return word.family not in self.empty or self.known.in_names(word.family)


def same_name_in_tables(reading: Reading) -> Doubt | None:
    """All that is asked for are columns that two unrelated tables have alike, and no table."""
    found = mentions(reading.words, reading.at)
    if not found or reading.tables or reading.values or reading.says_more_than([*found]):
        return None
    common = set.intersection(*({place.table for place in at} for at in found.values()))
    for span, at in found.items():
        groups = reading.at.groups([place for place in at if place.table in common])
        if len(common) > 1 and len(groups) > 1:
            return _which(reading.words[slice(*span)], [group[0] for group in groups])
    return None


def same_head_in_table(reading: Reading) -> Doubt | None:
    """A noun that no column is called, but two of a table end in, and neither's other word."""
    inside = {n for start, end in mentions(reading.words, reading.at) for n in range(start, end)}
    for size in range(LONGEST, 0, -1):
        for start in range(len(reading.words) - size + 1):
            span = range(start, start + size)
            if inside.isdisjoint(span) and (found := _head(reading, reading.words[start:][:size])):
                return found
    return None


def _head(reading: Reading, phrase: Sequence[Token]) -> Doubt | None:
    nouns = tuple(word.noun for word in phrase)
    fits = reading.at.heads.get(nouns, ())
    if len(fits) < 2 or (len(phrase) == 1 and _no_noun(reading, phrase[0])):
        return None
    named = [place for place in fits if place.table in reading.tables] or list(fits)
    if len(named) < 2 or len({place.table for place in named}) > 1:
        return None
    names = {reading.at.parts[place] for place in named}
    others = {part for name in names for part in name[: -len(nouns)]}
    said = {w.noun for w in reading.words} | {w.family for w in reading.words}
    told = others & (said | COMMON_WORDS) or said.intersection(map(family, others))
    return None if told or len(names) < len(named) else _which(phrase, named)


def _no_noun(reading: Reading, word: Token) -> bool:
    """Heads whose columns are asked for together, tables and verbs."""
    other = word.text.endswith(("ed", "ing")) or word.family in reading.known.tables
    return other or word.noun in _ALL_OF_THEM or bool({word.text, word.noun} & COMMON_WORDS)


def _which(phrase: Sequence[Token], at: Sequence[Place]) -> Doubt | None:
    noun = " ".join(word.text for word in phrase)
    options = tuple(dict.fromkeys(column_name(p.table, p.column) for p in at))[:_MOST_OPTIONS]
    return ask(f"Which “{noun}” do you mean:", options) if len(options) > 1 else None


def value_in_columns(reading: Reading) -> Doubt | None:
    """The only value stands in columns that have nothing to do with each other; none is named."""
    exact = [value for value in reading.values if value.score >= 1]
    if not exact or len({value.phrase for value in reading.values}) > 1 or reading.tables:
        return None
    at = list(dict.fromkeys(Place(v.table, v.column) for v in exact))
    at = [place for place in at if place in reading.at.parts]
    said = {w.family for w in reading.words} | {w.noun for w in reading.words}
    if any(said.intersection(reading.at.parts[place]) for place in at):
        return None
    if mentions(reading.words, reading.at) or _names_a_thing(reading, at):
        return None
    groups = reading.at.groups(at)
    if len(groups) < 2 or _of_one_name(at):
        return None
    options = tuple(column_name(g[0].table, g[0].column) for g in groups)[:_MOST_OPTIONS]
    return ask(f"“{exact[0].phrase[:60]}” stands in several columns. Do you mean", options)


def _names_a_thing(reading: Reading, at: Sequence[Place]) -> bool:
    """One of the columns is what its table's rows are called by; the others speak of those."""
    own = [p for p in at if p in reading.at.keys or reading.at.parts[p][-1:] == ("name",)]
    return len(own) == 1


def _of_one_name(at: Sequence[Place]) -> bool:
    """Whether two of the columns are called the same: one thing, though no key says so."""
    return len({name_parts(place.column) for place in at}) < len(at)
