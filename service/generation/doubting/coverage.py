"""How much of a question's subject a database knows: a few numbers, each explained."""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from service.generation.doubting.vocabulary import Vocabulary
from service.generation.doubting.words import Token, tokens
from service.text2sql.values.match import ValueMatch
from service.text2sql.values.words import COMMON_WORDS

_NAMED, _TOLD, _LIKE = 1.0, 0.8, 0.6
_LIKELY, _SURE = 0.8, 0.99
_LEAST_MISSPELT = 6  # letters
_ALIKE = 0.84  # of 0..1: one letter of seven, two of thirteen
_COMMON = [word for word in COMMON_WORDS if len(word) >= _LEAST_MISSPELT - 1]
_alike = OSA.normalized_similarity
_VERBS = ("ed", "ing")
_INITIALS = (3, 4)  # two letters would be chance
_SHORT = 2  # letters: such a word is no subject

FEATURES = ("missing", "missing_share", "covered", "table", "value", "literals")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a question's subject the schema and its values know."""

    missing: tuple[str, ...]
    """Words of the subject that are nowhere, each once."""
    covered: float
    """Words of the subject that are somewhere; 1 each in a name, less in a description."""
    table: bool
    """A table is named."""
    values: int
    """Values of the database that the question names."""
    literals: int
    """Words that look like values and were not found."""

    @property
    def features(self) -> tuple[float, ...]:
        """As FEATURES names them; counts over five say no more than five."""
        subject = len(self.missing) + self.covered
        return (
            min(len(self.missing), 5) / 5,
            len(self.missing) / subject if subject else 0.0,
            min(self.covered, 5) / 5,
            float(self.table),
            min(self.values, 2) / 2,
            min(self.literals, 2) / 2,
        )


def coverage(
    question: Sequence[Token],
    known: Vocabulary,
    values: Sequence[ValueMatch],
    empty: frozenset[str],
) -> Coverage:
    """Look each word up once; words in `empty` (families) are not missed."""
    sure = [value for value in values if value.score >= _SURE]
    likely = (value.phrase for value in values if value.score >= _LIKELY)
    seen = {token.text for phrase in likely for token in tokens(phrase)}
    seen |= _spelt_out(question, known)
    missing: dict[str, str] = {}
    found: dict[str, float] = {}
    literals = 0
    for token in question:
        if token.text in seen or len(token.text) <= _SHORT or token.text in COMMON_WORDS:
            continue
        if "'" in token.text:  # don't, haven't
            continue
        if how := _how(token, known):
            found[token.family] = how
        elif token.literal:
            literals += 1
        elif token.family not in empty and not _misspelt(token, known):
            missing.setdefault(token.family, token.text)
    if found:  # what is done with known things (opened in 1958) need not be a name
        missing = {key: word for key, word in missing.items() if not word.endswith(_VERBS)}
    table = any(token.family in known.tables for token in question)
    return Coverage(
        tuple(missing.values()), sum(found.values()), table, len({v.phrase for v in sure}), literals
    )


def _spelt_out(question: Sequence[Token], known: Vocabulary) -> set[str]:
    """Words whose first letters make a name: miles per gallon, where there is `mpg`."""
    found: set[str] = set()
    for size in _INITIALS:
        for start in range(len(question) - size + 1):
            group = [token.text for token in question[start : start + size]]
            if "".join(word[0] for word in group) in known.initials:
                found.update(group)
    return found


def _misspelt(token: Token, known: Vocabulary) -> bool:
    """Whether it is a letter or two from a common word or one of the schema's."""
    if len(token.text) < _LEAST_MISSPELT:
        return False
    pairs = ((token.text, _COMMON), (token.noun, known.parts))
    return any(extractOne(word, of, scorer=_alike, score_cutoff=_ALIKE) for word, of in pairs)


def _how(token: Token, known: Vocabulary) -> float:
    if known.in_names(token.family):
        return _NAMED
    if token.family in known.told:
        return _TOLD
    if known.has_part(token.noun) or known.abbreviates(token.text):
        return _LIKE
    return 0.0
