"""Values of one database that a question names: equal ones first, then misspelt ones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from rapidfuzz.distance import OSA

from service.text2sql.values.fuzzy import fuzzy
from service.text2sql.values.match import ValueMatch
from service.text2sql.values.names import Names, name_words
from service.text2sql.values.phrases import LONGEST, Phrase, Text, derived, inflected
from service.text2sql.values.table import Place, ValueTable
from service.text2sql.values.text import spelt
from service.text2sql.values.words import singular

_MOST_PLACES = 50  # of one form
_INFLECTED = 0.9
_DERIVED = 0.8
_HALF = 0.5
_SAME_WORDS = 0.9  # differing in accents or punctuation; what is alike besides adds up to 1


@dataclass(frozen=True, slots=True)
class _Found:
    place: Place
    phrase: Phrase
    score: float


def find_values(table: ValueTable, names: Names, text: str, limit: int) -> list[ValueMatch]:
    """At most `limit` values, best first, then those whose column or table the text mentions.

    Every phrase gets its best value before any gets a second one.
    """
    read = Text(text, names)
    equal = _longest(_equal(table, read), read)
    like = _alike(table, read, [found.phrase for found in equal])
    said = {singular(word.text) for word in read.words}
    chosen = _in_turn(sorted([*equal, *like], key=lambda f: _rank(f, said)), limit)
    return [
        ValueMatch(f.place.table, f.place.column, f.place.value, f.phrase.text, round(f.score, 3))
        for f in sorted(chosen, key=lambda f: _rank(f, said))
    ]


def _equal(table: ValueTable, text: Text) -> list[_Found]:
    groups = chain.from_iterable(text.phrases(size) for size in range(1, LONGEST + 1))
    by_form: dict[str, list[Phrase]] = defaultdict(list)
    for phrase in chain(text.quoted(), groups):
        for form in {phrase.folded, *inflected(phrase), *derived(phrase)}:
            by_form[form].append(phrase)
    pairs = (
        (place, phrase)
        for place in table.places(by_form, _MOST_PLACES)
        for phrase in by_form[place.folded]
    )
    return [
        _Found(place, phrase, _score(place, phrase))
        for place, phrase in pairs
        if not phrase.weak or phrase.spelt == spelt(place.value)
    ]


def _score(place: Place, phrase: Phrase) -> float:
    """1 for texts that are equal but for case and blanks."""
    if place.folded != phrase.folded:
        return _INFLECTED if place.folded in inflected(phrase) else _DERIVED
    value, said = (" ".join(text.casefold().split()) for text in (place.value, phrase.text))
    alike = OSA.normalized_similarity(value, said)
    return _SAME_WORDS + (1 - _SAME_WORDS) * float(alike)


def _longest(found: Sequence[_Found], text: Text) -> list[_Found]:
    """Parts of a longer phrase that names a value score less, and nothing if they are half of it.

    `Paris` of Paris Hilton is dropped, `McKinley` of Mount McKinley comes later. A longer phrase
    that adds no more than words of the schema (the Ohio river) leaves its parts alone.
    """
    weights = {f.phrase: _weight(f.phrase, text) for f in found}
    at: dict[int, list[Phrase]] = defaultdict(list)
    for phrase in weights:
        for number in range(phrase.first, phrase.end):
            at[number].append(phrase)
    shares = {}
    for phrase, weight in weights.items():
        outer = [p for p in at[phrase.first] if phrase.within(p) and weights[p] > weight]
        longest = max((len(p.folded) for p in outer), default=len(phrase.folded))
        shares[phrase] = len(phrase.folded) / longest
    scaled = (replace(f, score=f.score * shares[f.phrase]) for f in found)
    return [f for f in scaled if shares[f.phrase] > _HALF]


def _weight(phrase: Phrase, text: Text) -> int:
    return sum(text.loose[phrase.first : phrase.end])


def _alike(table: ValueTable, text: Text, equal: Sequence[Phrase]) -> Iterator[_Found]:
    by_form = defaultdict(list)
    for form, phrase, score in fuzzy(table, text, equal):
        by_form[form].append((phrase, score))
    for place in table.places(by_form, _MOST_PLACES):
        for phrase, score in by_form[place.folded]:
            yield _Found(place, phrase, score)


def _rank(found: _Found, said: set[str]) -> tuple[float, ...]:
    column, table = (
        sum(word in said for word in name_words(name)) / (len(name_words(name)) or 1)
        for name in (found.place.column, found.place.table)
    )
    return (-round(found.score, 3), -(column + table))


def _in_turn(ranked: Iterable[_Found], limit: int) -> list[_Found]:
    by_phrase: dict[str, dict[tuple[str, str, str], _Found]] = defaultdict(dict)
    for found in ranked:
        place = found.place
        by_phrase[found.phrase.folded].setdefault((place.table, place.column, place.value), found)
    rounds = chain.from_iterable(zip_longest(*(kept.values() for kept in by_phrase.values())))
    chosen: dict[tuple[str, str, str], _Found] = {}
    for found_or_none in rounds:
        if found_or_none is not None and len(chosen) < limit:
            place = found_or_none.place
            chosen.setdefault((place.table, place.column, place.value), found_or_none)
    return list(chosen.values())
