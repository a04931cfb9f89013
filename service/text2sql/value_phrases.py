"""Phrases of a question that may name a value: word groups, quoted strings, numbers and codes.

A phrase is telling where it is quoted, where a word of it is capitalised inside a sentence, where
it holds two words that are neither common nor short numbers, or where it is one such word and no
word of a table's or column's name. Only telling phrases are looked for: a value 'all' or 'name'
would otherwise match nearly every question.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from service.text2sql.schema import Schema
from service.text2sql.value_text import Word, composed, folded, plural, singular, words
from service.text2sql.value_words import COMMON_WORDS

LONGEST = 6
"""Words of a phrase that is not quoted."""
_MAX_WORDS = 512  # of question and evidence; what follows is not looked at
_SHORT = 2  # letters or digits: such a word alone says little
_TITLED = 0.6  # of the words capitalised: then capitals mean nothing
_QUOTED = re.compile(
    r"""(?<!\w)'(?P<single>[^\n]+?)'(?!\w)|"(?P<double>[^"\n]+)"|“(?P<curly>[^”\n]+)”"""
    r"""|‘(?P<curled>[^\n]+?)’(?!\w)|«(?P<angled>[^»\n]+)»|`(?P<back>[^`\n]+)`"""
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDS = frozenset(".?!:\n")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words `first` up to, not including, `end` of the text; `text` as it is written there."""

    text: str
    folded: str
    first: int
    end: int
    quoted: bool
    proper: bool
    """Quoted, or a word of it is capitalised inside a sentence."""
    weak: bool = False
    """Telling by its capitals alone: then only the very same value is meant."""

    def within(self, other: "Phrase") -> bool:
        """True where `other` has all the words of this one."""
        return other.first <= self.first and self.end <= other.end


@dataclass(frozen=True, slots=True)
class Names:
    """What a schema calls its tables and columns, folded and in the singular."""

    whole: frozenset[str]
    parts: frozenset[str]

    @classmethod
    def of(cls, schema: Schema) -> "Names":
        """The names of all tables and columns."""
        tables = [table.name for table in schema.tables]
        columns = [column.name for table in schema.tables for column in table.columns]
        split = [name_words(name) for name in [*tables, *columns]]
        return cls(frozenset(" ".join(s) for s in split), frozenset(w for s in split for w in s))


def name_words(name: str) -> list[str]:
    """Words of an identifier (`petType`, `pet_types`), folded, in the singular."""
    return [singular(word) for word in folded(_CAMEL.sub(" ", name)).split()]


class Text:
    """Question and evidence, cut into words once."""

    def __init__(self, text: str, names: Names) -> None:
        self._text = composed(text)
        self.words: Sequence[Word] = words(self._text)[:_MAX_WORDS]
        self._names = names
        self._quotes = [(m.start(), m.end()) for m in _QUOTED.finditer(self._text)]
        self.capital = self._capitals()
        heavy = (self._heavy(number) for number in range(len(self.words)))
        self._content = [0, *accumulate(heavy)]
        self._proper = [0, *accumulate(self.capital)]

    def content(self, number: int) -> bool:
        """True where that word is neither common nor a short number."""
        return self._content[number] < self._content[number + 1]

    def phrases(self, size: int) -> Iterator[Phrase]:
        """All telling word groups of that size; none goes over the end of a line."""
        for first in range(len(self.words) - size + 1):
            phrase = self._phrase(first, first + size, quoted=False)
            if "\n" not in phrase.text and (phrase.proper or not phrase.weak):
                yield phrase

    def quoted(self) -> Iterator[Phrase]:
        """What stands between quotation marks, of any length."""
        for start, end in self._quotes:
            inside = [n for n, w in enumerate(self.words) if start <= w.start and w.end <= end]
            if inside:
                yield self._phrase(inside[0], inside[-1] + 1, quoted=True)

    def loose(self, number: int) -> bool:
        """True for a word that may be part of a misspelt value."""
        if self.capital[number] or self.in_quotes(number):
            return True
        word = self.words[number].text
        return self.content(number) and not {word, singular(word)} & self._names.parts

    def in_quotes(self, number: int) -> bool:
        """True for a word between quotation marks."""
        word = self.words[number]
        return any(start <= word.start and word.end <= end for start, end in self._quotes)

    def _phrase(self, first: int, end: int, *, quoted: bool) -> Phrase:
        group = self.words[first:end]
        text = self._text[group[0].start : group[-1].end]
        form = " ".join(word.text for word in group)
        proper = quoted or self._proper[end] > self._proper[first]
        weak = not quoted and not self._telling(form, first, end)
        return Phrase(text, form, first, end, quoted, proper, weak)

    def _telling(self, form: str, first: int, end: int) -> bool:
        content = self._content[end] - self._content[first]
        if end - first > 1:
            single = " ".join(map(singular, form.split()))
            return content > 1 and single not in self._names.whole
        return content == 1 and not {form, singular(form)} & self._names.parts

    def _heavy(self, number: int) -> bool:
        word = self.words[number].text
        return word not in COMMON_WORDS and (len(word) > _SHORT or not word.isascii())

    def _capitals(self) -> list[bool]:
        large = [self._text[word.start].isupper() for word in self.words]
        letters = sum(self._text[word.start].isalpha() for word in self.words)
        if letters > LONGEST and sum(large) > _TITLED * letters:
            return [False] * len(large)
        return [big and not self._opens(number) for number, big in enumerate(large)]

    def _opens(self, number: int) -> bool:
        """True for the first word of a sentence, unless it is more than a capital letter."""
        if number and not _ENDS & {*self._between(number)}:
            return False
        word = self.words[number]
        return not any(c.isupper() or c.isdigit() for c in self._text[word.start + 1 : word.end])

    def _between(self, number: int) -> str:
        return self._text[self.words[number - 1].end : self.words[number].start]


def inflected(phrase: Phrase) -> set[str]:
    """The phrase with its last word in the singular or plural; nothing for quoted ones."""
    *before, last = phrase.folded.split()
    if phrase.quoted or len(last) <= _SHORT or not last.isalpha():
        return set()
    forms = {singular(last), plural(last)} - {last}
    return {" ".join([*before, form]) for form in forms}
