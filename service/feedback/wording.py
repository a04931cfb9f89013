"""Questions as words that can be compared: which wordings are the same question. Pure.

Two forms of a text. `words`: without case, blanks and punctuation; equal words are the same
question. `gist`: further without what never carries meaning in a question on data, namely how it
asks ("please list all the", "what are"), articles, relative pronouns; equal gists are nearly the
same question.

Nothing is guessed: a word that no rule below names has to be on both sides, as it is written and in
its place. So numbers, names, negations, comparatives, superlatives and the direction of a relation
("from Rome to Paris") cannot differ, a plural is not its singular (Adams is not Adam), and a
misspelt word never matches (country and county are one letter apart).
"""

import re
import unicodedata
from collections.abc import Iterator

_QUOTES = {ord(mark): "'" for mark in "\u2018\u2019\u201a\u201b\u2032`\u00b4"}
_QUOTES |= {ord(mark): '"' for mark in "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"}
_RAISED = re.compile("[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")
_WORD = re.compile(
    r"""
      (?<![\w.)])(?:[-+]\s?)?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w,])  # 1,000 and -1,000.5
    | (?<![\w.)])(?:[-+]\s?)?\d*(?:\.\d+)+(?!\w)                    # 1.5, .5, 1.2.3
    | (?<![\w.)])[-+]\s?\d+(?!\w)                                   # -5
    | \.\d+
    | \w+(?:'\w+)*                                                  # customer's, 2019, Q1
    | (?<=\s)-(?=\s) | (?<!\S)-(?=\S)                               # a - b, -b, but not a-b
    | (?<=\d)[-:\u2010-\u2015](?=\d)                                # 5-10, 10:30
    | != | !(?=\w) | [()\[\]{}]
    | [^\w\s.,;:?!'"\-\u2010-\u2015\u2026\u00bf\u00a1]              # < > = % $ + / and the like
    """,
    re.VERBOSE,
)
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015")
_BRACKETS = frozenset("()[]{}")
_ARITHMETIC = frozenset("+-*/^=<>")
_CASE_MATTERS = frozenset(
    "us it who or in me an as at be by do no on so to up we he is am if of go my any all new one "
    "can may was has are and the not out will did".split()
)
"""Words that are other words in capitals: US is a country, IT a department."""

_NOT = re.compile(r"(do|does|did|is|are|was|were|has|have|had|could|should|would)n'?t")
_NUMBERS = "two three four five six seven eight nine ten eleven twelve".split()
_DIGITS = {word: number for number, word in enumerate(_NUMBERS, 2)}
_LEADING = re.compile(
    r"\s*((?:in|for|during|among|of|from|on|at|by|since|within)\s[^,?]+),\s+"
    r"(?=(?:how|what|which|who|list|show|give|find|tell|count|please)\b)",
    re.IGNORECASE,
)
_OPENER = re.compile(
    r"(?:(?:please|kindly|hi|hello) )*"
    r"(?:(?:can|could|would|will) you (?:please )?|i(?:'d| would) like (?:to (?:see|know) )?|"
    r"i (?:want|need) (?:to (?:see|know|get|find) )?)?"
    r"(?:(?:show|tell|give|get|find) (?:me|us) |(?:give|get|find|retrieve|provide|fetch) |"
    # Nouns too (list price, return rate), unless one of these follows.
    r"(?:list|show|display|return|report|print) (?=(?:the|all|which|what|how) ))?"
    r"(?:what's |(?:what|which) (?:is |are |"
    r"(?!(?:was|were|do|does|did|has|have|had|can|could|will|would|should|may)\b)))?"
    r"(?:all (?:of )?)?(?:the )?"
)
_COUNT = re.compile(r"(?:number of|count of|count(?= (?:the|all) )) (?:all )?(?:the )?|how many ")
_ENDING = re.compile(r"(?: (?:please|thanks|thank you|for me))+$")
_THERE = re.compile(
    r"(?<= )(?:(?:is|are) there|there (?:is|are)|(?:is|are)(?= (?:in|from|on|at) )) "
)
_BOUND = re.compile(
    r"(?<!\S)(?:(?P<ge>at least|no less than|no fewer than|not less than|not fewer than|> =)|"
    r"(?P<le>at most|no more than|not more than|< =)|"
    r"(?P<gt>more than|greater than|>)|(?P<lt>less than|fewer than|<)) "
    r"(?=(?:[$\u20ac\u00a3] )?[-+]?\.?\d)"
)
_RELATIVE = frozenset({"who", "that", "which"})
_BEFORE_ARTICLE = frozenset(
    "with without in of for by from to on at has have had as and or than into between".split()
)
_CLOSED = _RELATIVE | {"the", "a", "an", "what", "all"}


def quoted(text: str) -> tuple[str, ...]:
    """What stands in quotation marks, in order, as it is written."""
    found: list[tuple[str, str]] = _QUOTED.findall(text.translate(_QUOTES))
    return tuple(double or single for double, single in found)


def quotes_agree(one: str, other: str) -> bool:
    """True if each text holds what the other has in quotation marks, letter for letter."""
    pairs = ((one, other), (other, one))
    return all(part in b.translate(_QUOTES) for a, b in pairs for part in quoted(a))


def words(text: str) -> tuple[str, ...]:
    """Words, numbers and signs, in order."""
    return tuple(word for word, _ in _words(_unicode(text)))


def gist(text: str) -> tuple[str, ...]:
    """The words that carry the meaning, in order."""
    plain = _unicode(text)
    if leading := _LEADING.match(plain):  # "In 2019, how many ...?" asks "how many ... in 2019?"
        plain = f"{plain[leading.end() :]} {leading[1]}"
    line = " ".join(_plainer(word, name) for word, name in _words(plain))
    line = _ENDING.sub("", line)
    line = _OPENER.sub("", f"{line} ", count=1).strip()
    if count := _COUNT.match(line):
        line = f"how many {line[count.end() :]}"
    line = _BOUND.sub(lambda found: f"{found.lastgroup} ", _THERE.sub("", line))
    return tuple(_without_small_words(line.split()))


def plain_evidence(text: str) -> str:
    """Evidence as it is compared: letter for letter but for blanks. It may hold formulas."""
    return " ".join(text.split())


def _unicode(text: str) -> str:
    """One spelling of each character; what cannot be seen is gone."""
    raised = _RAISED.sub(lambda found: f"^{found[0]}", text)  # 10² would become 102
    composed = unicodedata.normalize("NFKC", raised).translate(_QUOTES)
    kept = (c if unicodedata.category(c) not in ("Cf", "Cc") else _unseen(c) for c in composed)
    return composed if composed.isascii() and composed.isprintable() else "".join(kept)


def _unseen(character: str) -> str:
    return "" if unicodedata.category(character) == "Cf" else " "


def _words(plain: str) -> Iterator[tuple[str, bool]]:
    """Each word, and whether its capital says that it is a name."""
    found = _WORD.findall(plain)
    if not _ARITHMETIC.intersection(found):
        found = [word for word in found if word not in _BRACKETS]
    shouted = plain.isupper()
    for place, word in enumerate(found):
        if word[0].isdigit() or word[0] in "+-.":
            word = _number(word)
        elif word in _DASHES:
            word = "-"
        keeps = word.isupper() and not shouted and word.lower() in _CASE_MATTERS
        yield word if keeps else word.lower(), place > 0 and not shouted and word[0].isupper()


def _number(word: str) -> str:
    """Without the commas of thousands and the blank after a sign."""
    return word.replace(",", "").replace(" ", "") if word[-1].isdigit() else word


def _plainer(word: str, name: bool) -> str:
    """Other ways to write the same word; a small word that is part of a name is marked as one."""
    if name and word in _CLOSED:
        return f"^{word}"
    if word in ("can't", "cannot"):
        return "can not"
    if negated := _NOT.fullmatch(word):
        return f"{negated[1]} not"
    return str(_DIGITS.get(word, word))


def _without_small_words(line: list[str]) -> Iterator[str]:
    last = len(line) - 1
    for place, word in enumerate(line):
        article = word in ("a", "an") and place > 0 and line[place - 1] in _BEFORE_ARTICLE
        small = word == "the" or article or (word in _RELATIVE and place > 0)
        if not small or place == last:
            yield word
