"""What an audit can find, by name: one line each says what it means and what follows from it."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding; `dropped` if a cleaned dataset leaves such questions out by default."""

    name: str
    dropped: bool
    meaning: str


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("malformed", True, "the row lacks a database, a question or a gold"),
        Kind("unknown_database", True, "no database of that name is there"),
        Kind("unusable_database", True, "the database file is damaged, missing or no SQLite file"),
        Kind("writes", True, "the gold does something else than read: the sandbox refuses it"),
        Kind("broken", True, "the gold does not run"),
        Kind("timeout", True, "the gold does not end in time"),
        Kind("too_large", True, "the gold's result is larger than a verifier can keep"),
        Kind("not_run", True, "the gold could not be run for a reason that lies with the machine"),
        Kind("not_reached", True, "the audit's time was over before the gold had been looked at"),
        Kind("slow", False, "the gold runs, but takes longer than the threshold"),
        Kind("nothing_read", True, "the gold reads no table: a constant answers the question"),
        Kind("empty", True, "the gold finds no rows: every wrong query that finds none matches"),
        Kind("all_null", True, "the gold's rows hold nothing but NULL: many wrong queries match"),
        Kind("nondeterministic", True, "the gold's rows depend on chance, clock, order or ties"),
        Kind("tied_order", False, "the gold orders rows, but rows that tie may change places"),
        Kind("unchecked", False, "whether the gold is deterministic could not be found out"),
        Kind("contradicting_question", True, "the same question again, with other rows as answer"),
        Kind("duplicate_question", True, "the same question again, with the same answer"),
        Kind("duplicate_gold", False, "the same gold again, for a question in other words"),
        Kind("leaked_database", True, "the database is in the other dataset too"),
        Kind("leaked_question", True, "the question, or its gold, is in the other dataset too"),
    )
}

DROPPED: tuple[str, ...] = tuple(kind.name for kind in KINDS.values() if kind.dropped)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one question."""

    kind: str
    row: int
    """Place in the dataset, from 0 on."""
    evidence: str
    """One line."""
    others: tuple[int, ...] = ()
    """Rows of this dataset that it is found with."""


def chosen(names: Iterable[str] | None, param: str = "drop") -> tuple[str, ...]:
    """The kinds to drop, in the order of the table; None means the default.

    Raises InvalidRequest for a name that is not in the table.
    """
    if names is None:
        return DROPPED
    wanted = {name.strip() for name in names} - {""}
    if unknown := sorted(wanted - KINDS.keys()):
        raise InvalidRequest(
            f"{unknown[0][:100]!r} is no kind of finding; known: {', '.join(KINDS)}", param=param
        )
    return tuple(name for name in KINDS if name in wanted)
