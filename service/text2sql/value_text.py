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


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", word)
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold()


def singular(word: str) -> str:
    """An English plural's likely singular; any other word as it is."""
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def plural(word: str) -> str:
    """An English noun's likely plural."""
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("ch", "sh", "x", "s", "z")) else "s")
