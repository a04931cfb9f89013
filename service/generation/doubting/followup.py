"""A question that goes on from an earlier one which nobody sent."""

from collections.abc import Sequence

from service.generation.doubting.doubt import Doubt, either, tables_of
from service.generation.doubting.words import Token
from service.text2sql.schema import Schema
from service.text2sql.values.words import COMMON_WORDS

_BACK = frozenset("their them theirs its his her him he she".split())
_THOSE = frozenset("those these".split())
_CLAUSE = frozenset("is are was were have has and by".split())
_STARTS = ("and", "what about", "how about", "same for", "the same for", "but")
_LONGEST = 6
_FEW = 2


def goes_on(words: Sequence[Token], schema: Schema) -> Doubt | None:
    """Ask what is meant by a pronoun before any noun, or by “and in 2020?”.

    To be asked only where there is neither history nor evidence.
    """
    if said := _pronoun(words) or _start(words):
        example = either(tables_of(schema)[:_FEW])
        text = (
            f"What does “{said}” refer to? There is no earlier question in `history`."
            f" Name what you ask about, for example {example}."
        )
        return Doubt("clarify", text, tables_of(schema))
    return None


def _pronoun(words: Sequence[Token]) -> str:
    for number, word in enumerate(words):
        after = words[number + 1].text if number + 1 < len(words) else ""
        if word.text in _BACK or (word.text in _THOSE and (not after or after in _CLAUSE)):
            return word.text
        if word.literal or word.text not in COMMON_WORDS:
            return ""
    return ""


def _start(words: Sequence[Token]) -> str:
    line = " ".join(word.text for word in words[: _LONGEST + 1])
    start = next((start for start in _STARTS if line.startswith(f"{start} ")), "")
    return start if len(words) <= _LONGEST else ""
