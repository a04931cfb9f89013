"""Phrases of a question that may name a value: word groups, quoted strings, numbers and codes.

A phrase is telling where it is quoted, a word of it is capitalised inside a sentence, it is a code
(AB-12), several words one of which is not common, or a single word that is neither common nor the
last of a table's or column's name (`name` of first_name). Only telling phrases are looked for: a
value 'all' or 'name' would otherwise match nearly every question.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from service.text2sql.values.names import Names
from service.text2sql.values.text import Word, composed, spelt, words
from service.text2sql.values.words import COMMON_WORDS, plural, roots, singular

LONGEST = 6
"""Words of a phrase that is not quoted."""
_MAX_WORDS = 256  # of question and evidence; what follows is not looked at
_MAX_CHARS = 20_000
_MAX_QUOTES = 50
_SHORT = 2  # letters or digits: such a word alone says little
_TITLED = 0.6  # of the words capitalised: then capitals mean nothing
_PAIRS = '""``\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}«»'
_QUOTED = re.compile(
    # An apostrophe within a word ends no quotation.
    r"(?<!\w)['\u2018]([^\n]{1,100}?)['\u2019](?!\w)|"
    + "|".join(f"{a}[^{b}\n]{{1,100}}{b}" for a, b in zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
)
_ENDS = frozenset(".?!:\n")
_JOINTS = tuple("@_.:-/,")


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
    """Telling by its capitals or shortness alone: then only the very same value is meant."""

    @property
    def spelt(self) -> str:
        """The words as they are written, whatever stands between them."""
        return spelt(self.text)

    def within(self, other: "Phrase") -> bool:
        """True where `other` has all the words of this one."""
        return other.first <= self.first and self.end <= other.end


class Text:
    """Question and evidence, cut into words once."""

    def __init__(self, text: str, names: Names) -> None:
        self._text = composed(text[:_MAX_CHARS])
        self.words: Sequence[Word] = words(self._text)[:_MAX_WORDS]
        self._names = names
        quotes = islice(_QUOTED.finditer(self._text), _MAX_QUOTES)
        self._quotes = [(m.start(), m.end()) for m in quotes]
        self._capital = self._capitals()
        self._bound = [False, *map(self._binds, range(1, len(self.words))), False]
        heavy = (self._heavy(number) for number in range(len(self.words)))
        self._content = [0, *accumulate(heavy)]
        self._proper = [0, *accumulate(self._capital)]
        self.loose = [self._is_loose(number) for number in range(len(self.words))]
        """For each word: it may be part of a misspelt value."""

    def phrases(self, size: int) -> Iterator[Phrase]:
        """Telling word groups of that size; none goes over the end of a line or cuts a code."""
        for first in range(len(self.words) - size + 1):
            if not self._bound[first] and not self._bound[first + size]:
                phrase = self._phrase(first, first + size, quoted=False)
                telling = phrase.proper or not phrase.weak or self._is_letter(phrase)
                if telling and "\n" not in phrase.text:
                    yield phrase

    def is_edged(self, phrase: Phrase) -> bool:
        """True where neither its first nor its last word is a common one in small letters."""
        return self._is_own(phrase.first) and self._is_own(phrase.end - 1)

    def quoted(self) -> Iterator[Phrase]:
        """What stands between quotation marks, of any length."""
        for start, end in self._quotes:
            inside = [n for n, w in enumerate(self.words) if start <= w.start and w.end <= end]
            if inside:
                yield self._phrase(inside[0], inside[-1] + 1, quoted=True)

    @staticmethod
    def _is_letter(phrase: Phrase) -> bool:
        short = len(phrase.folded) <= _SHORT and phrase.folded.isalpha()
        return short and phrase.folded not in COMMON_WORDS

    def _is_loose(self, number: int) -> bool:
        word = self.words[number]
        if self._capital[number] or any(a <= word.start and word.end <= b for a, b in self._quotes):
            return True
        names = {word.text, singular(word.text)} & self._names.heads
        return self._is_own(number) and not names

    def _is_own(self, number: int) -> bool:
        """False for a common word in small letters."""
        return self._capital[number] or self.words[number].text not in COMMON_WORDS

    def _phrase(self, first: int, end: int, *, quoted: bool) -> Phrase:
        group = self.words[first:end]
        text = self._text[group[0].start : group[-1].end]
        form = " ".join(word.text for word in group)
        proper = quoted or self._proper[end] > self._proper[first]
        weak = not quoted and not self._telling(form, first, end)
        return Phrase(text, form, first, end, quoted, proper, weak)

    def _telling(self, form: str, first: int, end: int) -> bool:
        content = self._content[end] - self._content[first]
        if end - first == 1:
            return content == 1 and not {form, singular(form)} & self._names.heads
        whole = " ".join(map(singular, form.split())) in self._names.whole
        return (content > 0 and not whole) or self._is_code(first, end)

    def _is_code(self, first: int, end: int) -> bool:
        """True for what is written without blanks and with digits: 3-1, 08/30, ab-12."""
        written = self._text[self.words[first].start : self.words[end - 1].end]
        return any(map(str.isdigit, written)) and not any(map(str.isspace, written))

    def _binds(self, number: int) -> bool:
        """True where that word and the one before are parts of a number, date, code or address."""
        join = self._between(number)
        start = self.words[number].start
        before, after = self._text[self.words[number - 1].end - 1], self._text[start]
        if join not in _JOINTS:
            return False
        digit = before.isdigit() or after.isdigit()
        return join in "@_" or digit or (join == "." and before.islower() and after.islower())

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
    if phrase.quoted or len(last) <= _SHORT:
        return set()
    forms = {singular(last), plural(last)} - {last}
    return {" ".join([*before, form]) for form in forms}


def derived(phrase: Phrase) -> set[str]:
    """What a single word may be made of: `european` of europe, `engineering` of engineer."""
    word = phrase.folded
    if phrase.quoted or phrase.weak or not word.isalpha():
        return set()
    return roots(singular(word))
