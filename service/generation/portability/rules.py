"""The table of warnings: a name, what looks for it, and what is said."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from service.generation.portability import numbers, rows, texts
from service.generation.portability.target import Target
from service.text2sql.schema import Schema

_LONGEST_FRAGMENT = 80


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` yields the places in the tree that the warning is about; {to} is the dialect."""

    name: str
    find: Callable[[exp.Query, Target], Iterator[exp.Expr]]
    says: str


RULES = (
    Rule(
        "integer division",
        numbers.integer_division,
        "SQLite cuts the fraction off when both sides are integers, {to} does not",
    ),
    Rule(
        "truth as number",
        numbers.truth_as_number,
        "a condition is 0 or 1 in SQLite, which {to} may refuse",
    ),
    Rule(
        "average of integers",
        numbers.average_of_integers,
        "the average of integers is an integer in {to}, a fraction in SQLite",
    ),
    Rule(
        "text with number",
        numbers.text_with_number,
        "SQLite compares texts with numbers by its own rules, {to} converts or refuses",
    ),
    Rule(
        "arithmetic on text",
        numbers.arithmetic_on_text,
        "SQLite reads numbers out of texts, {to} may refuse",
    ),
    Rule(
        "cast",
        numbers.cast,
        "SQLite takes the digits that a text starts with, or 0; {to} may fail",
    ),
    Rule(
        "LIKE",
        texts.like,
        "SQLite ignores the case of A to Z only; here the case of all letters is ignored",
    ),
    Rule("GLOB", texts.glob, "{to} has no GLOB: this will not run as it is"),
    Rule(
        "double quotes",
        texts.double_quotes,
        "SQLite takes it for a text where no column has that name; here it is a column",
    ),
    Rule(
        "NULL in ||",
        texts.joined_with_null,
        "an empty text and NULL are the same in {to}, not in SQLite",
    ),
    Rule(
        "numbers in ||",
        texts.joined_numbers,
        "SQLite turns numbers into texts by itself, {to} may add or refuse them",
    ),
    Rule("collation", texts.collation, "this collation is SQLite's own, {to} may not know it"),
    Rule(
        "equal texts",
        texts.equal_texts,
        "texts that differ in case are equal in {to} by default, not in SQLite",
    ),
    Rule(
        "bare column",
        rows.bare_columns,
        "it is neither grouped by nor aggregated: SQLite takes some row's value, {to} may refuse",
    ),
    Rule(
        "limit",
        rows.choice_at_the_limit,
        "of rows that are equal in the order, {to} may keep others",
    ),
    Rule(
        "name of a result",
        rows.names_of_results,
        "a name given in SELECT is not known at this place in {to}",
    ),
    Rule("ROWID", rows.row_numbers, "SQLite's row number is not the same thing in {to}, if any"),
    Rule(
        "dates as texts",
        rows.dates_as_texts,
        "dates are texts in SQLite, and what is none gives NULL; {to} may fail or format otherwise",
    ),
    Rule(
        "function",
        rows.functions_of_its_own,
        "it is passed on as it is, and {to} may not have it",
    ),
    Rule(
        "function as table",
        rows.functions_of_tables,
        "it is passed on as it is, and {to} may not have it",
    ),
    Rule(
        "least and greatest",
        rows.least_and_greatest,
        "NULL among several values makes SQLite's result NULL; {to} leaves it out",
    ),
)


def warnings_for(tree: exp.Query, dialect: str, schema: Schema | None) -> tuple[str, ...]:
    """A warning for each rule that finds something, with the first place it finds."""
    target = Target(dialect, schema)
    said = []
    for rule in RULES:
        place = next(rule.find(tree, target), None)
        if place is not None:
            said.append(f"{rule.name}: {rule.says.format(to=dialect)} ({_fragment(place)})")
    return tuple(said)


def _fragment(place: exp.Expr) -> str:
    text = " ".join(place.sql("sqlite").split())
    return text if len(text) <= _LONGEST_FRAGMENT else text[: _LONGEST_FRAGMENT - 1] + "…"
