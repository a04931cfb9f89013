"""How likely it is that a database does not hold what is asked: logistic regression on coverage.

Coefficients, threshold and the list of words that are not missed come from doubts.json, which
`python -m bench.doubts fit` writes and which says where they come from.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from service.generation.doubting.coverage import FEATURES, Coverage
from service.generation.doubting.doubt import Doubt, either, tables_of
from service.generation.doubting.empty import EMPTY
from service.text2sql.schema import Schema

_MOST_WORDS = 3
_LONGEST_WORD = 40


@dataclass(frozen=True, slots=True)
class Judge:
    """A linear score; over `threshold` the database is said not to hold the answer."""

    origin: str
    intercept: float
    weights: Sequence[float]
    """In the order of FEATURES."""
    threshold: float
    empty: frozenset[str]
    """Families of words that say nothing of a subject though no schema has them."""

    def score(self, coverage: Coverage) -> float:
        """Log-odds; minus infinity where no word is missing."""
        if not coverage.missing:
            return float("-inf")
        pairs = zip(self.weights, coverage.features, strict=True)
        return self.intercept + sum(weight * value for weight, value in pairs)

    def foreign(self, coverage: Coverage) -> bool:
        """Whether the question seems to be about something else than the database."""
        return self.score(coverage) > self.threshold


@cache
def judge() -> Judge:
    """What doubts.json holds, read once."""
    found = json.loads(files("service.generation").joinpath("doubts.json").read_text())
    weights = [found["weights"][name] for name in FEATURES]
    return Judge(
        found["origin"],
        found["intercept"],
        weights,
        found["threshold"],
        EMPTY | frozenset(found["empty"]),
    )


def not_held(coverage: Coverage, schema: Schema) -> Doubt:
    """`cannot_answer`, with the words that were looked for and some tables that there are."""
    words = tuple(f"“{word[:_LONGEST_WORD]}”" for word in coverage.missing[:_MOST_WORDS])
    tables = tables_of(schema)
    more = " and others" if len(schema.tables) > len(tables) else ""
    return Doubt(
        "cannot_answer",
        f"The database does not seem to hold {either(words)}. Its tables are"
        f" {', '.join(tables)}{more}. If it is called otherwise here, say how in `evidence`.",
    )
