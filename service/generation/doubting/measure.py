"""“The best customers”: a superlative without a measure, where several would do."""

from service.generation.doubting.ambiguity import Reading
from service.generation.doubting.doubt import Doubt, ask, column_name
from service.generation.doubting.words import name_parts

_MOST_OPTIONS = 4
_BEST = frozenset("best worst top".split())
_LARGEST = frozenset("largest biggest greatest".split())
_RANKS = frozenset("rank ranking rating rate score grade point position star level result".split())
_SIZES = frozenset("area size".split())
_BY = frozenset(
    """
    by with in terms based per according most least number count average total sum highest lowest
    maximum minimum max min more less fewest rated ranked ordered sorted having whose
    """.split()
)


def best_of_what(reading: Reading) -> Doubt | None:
    """Ask by which measure, if a table follows the superlative and nothing says which."""
    words = [word.text for word in reading.words]
    place = next((n for n, word in enumerate(words) if word in _BEST | _LARGEST), None)
    if place is None or _BY.intersection(words):
        return None
    rest = [w for w in reading.words[place + 1 :] if not w.text.isdigit()]
    tables = reading.known.tables.get(rest[0].family, frozenset()) if rest else frozenset[str]()
    if len(tables) != 1 or len(name_parts(next(iter(tables)))) != 1:
        return None
    measures = reading.at.measures[next(iter(tables))]
    obvious = _RANKS if words[place] in _BEST else _SIZES
    if len(measures) < 2 or _named(reading, place, rest[0].family, obvious):
        return None
    options = tuple(column_name(p.table, p.column) for p in measures[:_MOST_OPTIONS])
    return ask(f"By what is the “{words[place]}” to be found: by", options)


def _named(reading: Reading, place: int, table: str, obvious: frozenset[str]) -> bool:
    """Whether a column is said besides the table, or the table has one that is meant unsaid."""
    others = (w.family for n, w in enumerate(reading.words) if n != place and w.family != table)
    said = any(word in reading.known.columns or reading.known.has_part(word) for word in others)
    return said or any(obvious.intersection(parts) for parts in reading.at.parts.values())
