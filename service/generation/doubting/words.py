"""English words as far as doubts need them: tokens, word families, whether a text is English."""

import re
from dataclasses import dataclass
from functools import lru_cache

from service.generation.doubting.kin import KIN
from service.text2sql.values.words import COMMON_WORDS, singular

MAX_CHARS = 4_000
_MAX_TOKENS = 400
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PART = re.compile(r"[^\W\d_]+")
_ENDS = frozenset(".?!:;\n")
_LONG_SUFFIXES = tuple(
    "ational ations ation ition ments ment iness ness ities ity ance ence ings ions ion"
    " ship ists ist ians ian als al ly ive y".split()
)
_SHORT_SUFFIXES = tuple("est ing ers er ors or eds ed es e s".split())
_LONG_ROOT, _SHORT_ROOT = 4, 3
"""Letters that a suffix has to leave."""
_TITLED = 0.6
_ENGLISH = 0.3
"""Of the words, at least, are English words that say nothing of the subject."""

_FOREIGN = frozenset(
    # The commonest small words of other languages that are no English words.
    """
    der das und ist nicht wie viele welche wer wo mit von den dem ein eine gib zeige mir alle aus
    le la les des du une est et qui que quels quelles quel quelle combien dans pour avec sur sont
    el los las un una y cuantos cuantas cual cuales que quien quienes con por para del muestra son
    il lo gli quanti quante quali nel della dei che di per sono elenca
    o os quantos quantas quais dos das em um uma com mostre
    het een hoeveel welke zijn van en voor met geef toon
    och hur av ett ar som hvor mange og er af
    ile jest sa ktore ktory wszystkie jakie jaka
    kac hangi nedir ve
    """.split()
)
_SAYING = frozenset(
    "it's what's who's there's don't doesn't didn't isn't aren't wasn't i'd i'm".split()
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a text."""

    text: str
    """In lower case, without a possessive 's."""
    noun: str
    """The word in the singular."""
    family: str
    """What it shares with other forms of the word: `employ` of employees and employment."""
    literal: bool
    """Quoted, capitalised inside a sentence, or with a digit: a value rather than a noun."""


def tokens(text: str) -> tuple[Token, ...]:
    """The first 400 words of the first 4,000 characters."""
    text = text[:MAX_CHARS]
    found = [match for _, match in zip(range(_MAX_TOKENS), _TOKEN.finditer(text), strict=False)]
    large = [match.group()[0].isupper() for match in found]
    titled = len(large) > 3 and sum(large) > _TITLED * len(large)
    return tuple(
        _token(text, match, capital and not titled)
        for match, capital in zip(found, large, strict=True)
    )


def _token(text: str, match: re.Match[str], capital: bool) -> Token:
    word = match.group().casefold().replace("\u2019", "'")
    word = word.removesuffix("'s")
    before = text[: match.start()].rstrip()
    opens = not before or before[-1] in _ENDS
    quoted = text[match.start() - 1 : match.start()] in ("'", '"', "\u2018", "\u201c", "`")
    literal = quoted or (capital and not opens) or any(map(str.isdigit, word))
    return Token(word, singular(word), family(word), literal)


@lru_cache(maxsize=2**14)
def family(word: str) -> str:
    """What the forms of an English word share, and its kin (kin.py).

    Suffixes are taken off while three or four letters are left: rougher than Porter's (1980).
    """
    word = next(
        (form for form in (word, singular(word), word.removesuffix("s")) if form in KIN), word
    )
    word, shorter = singular(KIN.get(word, word)), ""
    while word != shorter:
        shorter, word = word, _without_suffix(word)
    if len(word) > _LONG_ROOT and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word


def _without_suffix(word: str) -> str:
    for suffixes, least in ((_LONG_SUFFIXES, _LONG_ROOT), (_SHORT_SUFFIXES, _SHORT_ROOT)):
        for suffix in suffixes:
            root = word.removesuffix(suffix)
            if root != word and len(root) >= least:
                return root
    return word


def name_parts(name: str) -> tuple[str, ...]:
    """Words of an identifier in lower case, in the singular, without its numbers."""
    return tuple(singular(word.casefold()) for word in _PART.findall(_HUMP.sub(" ", name)))


def is_english(found: tuple[Token, ...]) -> bool:
    """Whether these are words of an English sentence.

    Three in ten are English words without a subject (how, the, of, list, average), and they are
    more than the small words of other languages. One word alone is no sentence.
    """
    plain = [token.text for token in found if not token.literal]
    english = sum(word in COMMON_WORDS or word in _SAYING for word in plain)
    foreign = sum(word in _FOREIGN for word in plain)
    return english > foreign and english >= _ENGLISH * len(plain)
