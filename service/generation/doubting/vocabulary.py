"""The words that a schema knows: of names, descriptions and examples. Kept for each schema."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from service.generation.doubting.words import family, name_parts, tokens
from service.text2sql.schema import Column, Schema
from service.text2sql.values.words import COMMON_WORDS

_SHORTEST_PART = 4
_ABBREVIATION = range(3, 6)
_SHORTENED = 0.6
_LONG = 5
_INITIALS = (3, 4)
_KEPT = 64
_MAX_DESCRIPTION = 500  # characters of one column


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Word families by where they stand; `compounds` are whole names without signs."""

    tables: Mapping[str, frozenset[str]]
    """Family of a word to the tables whose names have it."""
    columns: frozenset[str]
    """Families of the words of columns' names."""
    told: frozenset[str]
    """Families of the words of descriptions, example values and the database's own name."""
    compounds: str
    """All names in lower case without signs, one a line."""
    parts: tuple[str, ...]
    """Words of names of five letters or more."""
    initials: frozenset[str]
    """Words of names of three or four letters."""
    short: Mapping[str, frozenset[str]]
    """First letter to parts of names that may be abbreviations."""

    def in_names(self, word: str) -> bool:
        """Whether that family is one of a name's words."""
        return word in self.tables or word in self.columns

    def has_part(self, word: str) -> bool:
        """Whether a name has that word inside, as `schoolname` has school."""
        return len(word) >= _SHORTEST_PART and word in self.compounds

    def abbreviates(self, word: str) -> bool:
        """Whether a name has a short form of that word, as `dept` is one of department."""
        return any(_shortens(short, word) for short in self.short.get(word[:1], ()))


def vocabulary(schema: Schema) -> Vocabulary:
    """The words of that schema; made once while the schema object is in use."""
    return _kept(Same(schema))


class Same:
    """A schema as a key that costs nothing: the same object, whatever its size."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.schema is self.schema


@lru_cache(maxsize=_KEPT)
def _kept(key: Same) -> Vocabulary:
    tables: dict[str, set[str]] = defaultdict(set)
    columns, parts = set[str](), set[str]()
    told = {family(part) for part in name_parts(key.schema.db_id)}
    names: list[str] = []
    for table in key.schema.tables:
        for part in name_parts(table.name):
            tables[family(part)].add(table.name)
            parts.add(part)
        names.append(table.name)
        for column in table.columns:
            names.append(column.name)
            parts.update(name_parts(column.name))
            columns.update(map(family, name_parts(column.name)))
            told.update(_told(column))
    return Vocabulary(
        {word: frozenset(found) for word, found in tables.items()},
        frozenset(columns),
        frozenset(told),
        "\n".join("".join(filter(str.isalnum, name.casefold())) for name in names),
        tuple(sorted(part for part in parts if len(part) >= _LONG)),
        frozenset(part for part in parts if len(part) in _INITIALS),
        _by_letter(parts),
    )


def _told(column: Column) -> set[str]:
    said = f"{column.description} {column.value_description}"[:_MAX_DESCRIPTION]
    values = [value for value in column.examples if isinstance(value, str)]
    return {token.family for token in tokens(" ".join([said, *values]))}


def _by_letter(parts: Iterable[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        if len(part) in _ABBREVIATION and part not in COMMON_WORDS:
            found[part[0]].add(part)
    return {letter: frozenset(short) for letter, short in found.items()}


def _shortens(short: str, word: str) -> bool:
    """Letters of the word in its order, the first two kept, well under its length."""
    if word[:2] != short[:2] and word[:1] + _consonants(word[1:])[:1] != short[:2]:
        return False
    left = iter(word)
    return len(short) <= _SHORTENED * len(word) and all(letter in left for letter in short)


def _consonants(word: str) -> str:
    return "".join(letter for letter in word if letter not in "aeiou")
