"""A text as words that compare equal whatever their case, accents, blanks and punctuation."""

import re
import unicodedata
from dataclasses import dataclass

_HAN = "\u3040-\u30ff\u3400-\u9fff"  # written without blanks: each sign is a word
_WORD = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+|[+#%&$€£°]")


@dataclass(frozen=True, slots=True)
class Word:
    """`text` is the folded word, which stands at `start`..`end` (characters) of the whole."""

    text: str
    start: int
    end: int


def composed(text: str) -> str:
    """The text with accents joined to their letters (NFC), to which offsets of words refer."""
    return unicodedata.normalize("NFC", text)


def words(text: str) -> list[Word]:
    """The words of a composed text; what is neither letter, digit nor a few signs parts them."""
    return [Word(_folded(m.group()), m.start(), m.end()) for m in _WORD.finditer(text)]


def folded(text: str) -> str:
    """All words of any text, one blank between them: equal for texts that differ in form only."""
    return " ".join(word.text for word in words(composed(text)))


def spelt(text: str) -> str:
    """As `folded`, but with the letters as they are."""
    return " ".join(_WORD.findall(composed(text)))


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", word)
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold()
