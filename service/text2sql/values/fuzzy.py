"""Values that a question misspells, or names by a part of them.

Likeness is 1 - d / n: d the edits (insert, delete, replace, swap neighbours: optimal string
alignment, rapidfuzz's `OSA`) between phrase and value, n the characters of the longer one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, groupby

from rapidfuzz import process
from rapidfuzz.distance import OSA

from service.text2sql.values.phrases import Phrase, Text
from service.text2sql.values.table import GRAM, ValueTable

LEAST_ALIKE = 0.8
"""Of a phrase that is quoted, capitalised or longer than a word: one edit in five characters."""
LEAST_ALIKE_WORD = 0.83
"""Of a single word in small letters: one edit in six."""
LEAST_PART = 0.4
"""Share of a value's characters that a capitalised or quoted phrase must have to name it."""
_SHORTEST = 5  # characters; of shorter words one edit makes other words
_LONGEST = 12  # words of a value that is compared with word groups of the question
_FORMS = 300
_POSTINGS = 6_000
_MISSPELT = 5  # values that one phrase may misspell
_PARTS = 2  # values that one phrase may name by a part

Fuzzy = tuple[str, Phrase, float]
"""A form, the phrase that seems to mean it, how alike they are (0..1)."""


def fuzzy(table: ValueTable, text: Text, found: Sequence[Phrase]) -> list[Fuzzy]:
    """Forms like a phrase of the text that is not within a phrase already `found`."""
    taken = {number for phrase in found for number in range(phrase.first, phrase.end)}
    runs = [run for run in _runs(text, taken) if len(run) > GRAM]
    forms = table.alike(runs, _FORMS, _POSTINGS)
    windows = _Windows(text, found)
    misspelt = _misspelt(forms, windows)
    spelt = {phrase for _, phrase, _ in misspelt}
    return [*misspelt, *(part for part in _parts(forms, windows) if part[1] not in spelt)]


def _runs(text: Text, taken: set[int]) -> Iterator[str]:
    """Texts of neighbouring words that may be part of a misspelt value, one of them not taken."""
    for loose, numbers in groupby(range(len(text.words)), key=lambda number: text.loose[number]):
        run = list(numbers)
        if loose and not taken.issuperset(run):
            yield " ".join(text.words[number].text for number in run)


class _Windows:
    """Phrases of the text by their number of words."""

    def __init__(self, text: Text, found: Sequence[Phrase]) -> None:
        self._text = text
        ends = [0] * len(text.words)
        for phrase in found:
            ends[phrase.first] = max(ends[phrase.first], phrase.end)
        self._reach = list(accumulate(ends, max))  # the furthest end of what began by that word
        self._of_size: dict[int, dict[Phrase, str]] = {}

    def of(self, size: int) -> dict[Phrase, str]:
        """Phrases of that many words, quoted ones included, with their folded texts."""
        if size not in self._of_size:
            quoted = (p for p in self._text.quoted() if p.end - p.first == size)
            free = (p for p in chain(quoted, self._text.phrases(size)) if self._is_free(p))
            self._of_size[size] = {phrase: phrase.folded for phrase in free}
        return self._of_size[size]

    def _is_free(self, phrase: Phrase) -> bool:
        whole = phrase.quoted or self._text.is_edged(phrase)
        return whole and not phrase.weak and self._reach[phrase.first] < phrase.end


def _misspelt(forms: Sequence[str], windows: _Windows) -> list[Fuzzy]:
    """Each form with the phrase most like it, where that is alike enough."""
    of_size: dict[int, list[str]] = defaultdict(list)
    for form in forms:
        size = form.count(" ") + 1
        for words in range(max(1, size - 1), size + 2):
            of_size[words].append(form)
    best: dict[str, Fuzzy] = {}
    for words in range(1, _LONGEST + 1):
        for phrase, text in windows.of(words).items() if words in of_size else ():
            for form, score in _most_alike(text, of_size[words]):
                better = form not in best or score > best[form][2]
                if better and _may_mean(phrase, form, score):
                    best[form] = (form, phrase, score)
    return list(best.values())


def _most_alike(text: str, forms: Sequence[str]) -> list[tuple[str, float]]:
    alike = OSA.normalized_similarity
    found = process.extract(text, forms, scorer=alike, score_cutoff=LEAST_ALIKE, limit=_MISSPELT)
    return [(form, score) for form, score, _ in found]


def _may_mean(phrase: Phrase, form: str, score: float) -> bool:
    plain = not phrase.proper and " " not in phrase.folded
    enough = score >= (LEAST_ALIKE_WORD if plain else LEAST_ALIKE)
    long = max(len(phrase.folded), len(form)) >= _SHORTEST
    return enough and long and _digits(phrase.folded) == _digits(form)


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))  # Room 12 is no misspelt Room 13


def _parts(forms: Sequence[str], windows: _Windows) -> Iterator[Fuzzy]:
    proper = [p for size in range(1, _LONGEST) for p in windows.of(size) if p.proper]
    for phrase in proper:
        if len(phrase.folded) > GRAM:
            named = sorted((f for f in forms if f" {phrase.folded} " in f" {f} "), key=len)
            for form in named[:_PARTS]:
                share = len(phrase.folded) / len(form)
                if share >= LEAST_PART:
                    yield form, phrase, LEAST_ALIKE * share
