"""Values that a question misspells, or names by a part of them.

Likeness is 1 - d / n: d the edits (insert, delete, replace, swap neighbours: optimal string
alignment, rapidfuzz's `OSA`) between phrase and value, n the characters of the longer one.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from rapidfuzz import process
from rapidfuzz.distance import OSA

from service.text2sql.value_phrases import Phrase, Text
from service.text2sql.value_table import GRAM, ValueTable

LEAST_ALIKE = 0.8
"""Of a phrase that is quoted, capitalised or longer than a word: one edit in five characters."""
LEAST_ALIKE_WORD = 0.83
"""Of a single word in small letters: one edit in six."""
LEAST_PART = 0.4
"""Share of a value's characters that a capitalised or quoted phrase must have to name it."""
_SHORTEST = 5  # characters; of shorter words one edit makes other words
_LONGEST = 12  # words of a value that is compared with word groups of the question
_FORMS = 60
_POSTINGS = 6_000
_PARTS = 2  # values that one phrase may name by a part

Fuzzy = tuple[str, Phrase, float]
"""A form, the phrase that seems to mean it, how alike they are (0..1)."""


def fuzzy(table: ValueTable, text: Text, found: Sequence[Phrase]) -> list[Fuzzy]:
    """Forms like a phrase of the text that is not within a phrase already `found`."""
    taken = {number for phrase in found for number in range(phrase.first, phrase.end)}
    runs = [run for run in _runs(text, taken) if len(run) >= _SHORTEST]
    forms = table.alike(runs, _FORMS, _POSTINGS)
    windows = _Windows(text, found)
    misspelt = [match for form in forms if (match := _misspelt(form, windows))]
    spelt = {phrase for _, phrase, _ in misspelt}
    return [*misspelt, *(part for part in _parts(forms, windows) if part[1] not in spelt)]


def _runs(text: Text, taken: set[int]) -> Iterator[str]:
    """Texts of neighbouring words that may be part of a misspelt value."""
    run: list[str] = []
    for number, word in enumerate(text.words):
        if number not in taken and text.loose(number):
            run.append(word.text)
        elif run:
            yield " ".join(run)
            run = []
    if run:
        yield " ".join(run)


class _Windows:
    """Phrases of the text by their number of words."""

    def __init__(self, text: Text, found: Sequence[Phrase]) -> None:
        self._text = text
        self._found = found
        self._of_size: dict[int, dict[Phrase, str]] = {}

    def of(self, size: int) -> dict[Phrase, str]:
        """Phrases of that many words, quoted ones included, with their folded texts."""
        if size not in self._of_size:
            quoted = (p for p in self._text.quoted() if p.end - p.first == size)
            free = (p for p in chain(quoted, self._text.phrases(size)) if self._is_free(p))
            self._of_size[size] = {phrase: phrase.folded for phrase in free}
        return self._of_size[size]

    def _is_free(self, phrase: Phrase) -> bool:
        return not phrase.weak and not any(phrase.within(other) for other in self._found)


def _misspelt(form: str, windows: _Windows) -> Fuzzy | None:
    size = form.count(" ") + 1
    if size > _LONGEST:
        return None
    best: Fuzzy | None = None
    for words in range(max(1, size - 1), size + 2):
        match = process.extractOne(
            form,
            windows.of(words),
            scorer=OSA.normalized_similarity,
            score_cutoff=best[2] if best else LEAST_ALIKE,
        )
        if match and _may_mean(match[2], form, match[1]) and (not best or match[1] > best[2]):
            best = (form, match[2], match[1])
    return best


def _may_mean(phrase: Phrase, form: str, score: float) -> bool:
    plain = not phrase.proper and " " not in phrase.folded
    enough = score >= (LEAST_ALIKE_WORD if plain else LEAST_ALIKE)
    return enough and len(phrase.folded) >= _SHORTEST and _digits(phrase.folded) == _digits(form)


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
