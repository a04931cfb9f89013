"""What a schema calls its tables and columns, as words that a question may use."""

import re
from dataclasses import dataclass
from functools import lru_cache

from service.text2sql.schema import Schema
from service.text2sql.values.text import folded
from service.text2sql.values.words import singular

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Names:
    """What a schema calls its tables and columns, folded and in the singular."""

    whole: frozenset[str]
    heads: frozenset[str]
    """The last word of each: of `first_name` it is `name`."""

    @classmethod
    def of(cls, schema: Schema) -> "Names":
        """The names of all tables and columns."""
        tables = [table.name for table in schema.tables]
        columns = [column.name for table in schema.tables for column in table.columns]
        split = [parts for name in [*tables, *columns] if (parts := name_words(name))]
        return cls(frozenset(" ".join(s) for s in split), frozenset(s[-1] for s in split))


@lru_cache(maxsize=10_000)
def name_words(name: str) -> tuple[str, ...]:
    """Words of an identifier (`petType`, `pet_types`), folded, in the singular."""
    return tuple(singular(word) for word in folded(_CAMEL.sub(" ", name)).split())
