"""Hostile statements that are too long to be written down: named in tests/cases/attacks.yaml."""

from collections.abc import Callable

ROWS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"


def endless(_: int) -> str:
    """Rows without end, counted."""
    return f"{ROWS}) SELECT count(*) FROM c"


def rows(n: int) -> str:
    """Streams n rows."""
    return f"{ROWS} LIMIT {n}) SELECT x FROM c"


def sorted_rows(n: int) -> str:
    """A sorter over n rows of a kilobyte."""
    return f"{ROWS} LIMIT {n}) SELECT x, zeroblob(1000) FROM c ORDER BY -x"


def distinct_rows(n: int) -> str:
    """An index in memory over n rows of a kilobyte."""
    return f"{ROWS} LIMIT {n}) SELECT count(*) FROM (SELECT DISTINCT x, zeroblob(1000) FROM c)"


def grouped_rows(n: int) -> str:
    """A group for every row."""
    return f"{ROWS} LIMIT {n}) SELECT x, max(zeroblob(1000)) FROM c GROUP BY -x"


def big_values(n: int) -> str:
    """One row of n values of 15 MB."""
    return "SELECT " + ", ".join(["zeroblob(15000000)"] * n)


def parentheses(n: int) -> str:
    """An expression in n parentheses."""
    return "SELECT " + "(" * n + "1" + ")" * n


def subqueries(n: int) -> str:
    """A scalar query in a scalar query."""
    return "SELECT " + "(SELECT " * n + "1" + ")" * n


def derived(n: int) -> str:
    """A table in a table."""
    return "SELECT * FROM " + "(SELECT * FROM " * n + "customer" + ")" * n


def cases(n: int) -> str:
    """CASE in CASE."""
    return "SELECT " + "CASE WHEN 1 THEN " * n + "1" + " END" * n


def whens(n: int) -> str:
    """One CASE of n branches."""
    return "SELECT CASE " + " ".join(f"WHEN {i} = -1 THEN {i}" for i in range(n)) + " END"


def terms(n: int) -> str:
    """A sum of n terms."""
    return "SELECT " + "+".join(["1"] * n)


def conjunction(n: int) -> str:
    """A condition of n terms."""
    return "SELECT 1 WHERE " + " AND ".join(["1"] * n)


def negations(n: int) -> str:
    """NOT NOT NOT."""
    return "SELECT " + "NOT " * n + "1"


def compound(n: int) -> str:
    """A union of n queries."""
    return " UNION ALL ".join(["SELECT 1"] * n)


def columns(n: int) -> str:
    """A result of n columns."""
    return "SELECT " + ",".join(["1"] * n)


def arguments(n: int) -> str:
    """A function with n arguments."""
    return "SELECT max(" + ",".join(map(str, range(n))) + ")"


def in_list(n: int) -> str:
    """n values to look among."""
    return "SELECT 1 IN (" + ",".join(map(str, range(n))) + ")"


def values(n: int) -> str:
    """n rows written out."""
    return "VALUES " + ",".join(["(1)"] * n)


def aggregates(n: int) -> str:
    """n different aggregates in one query (more than 32,767 overran SQLite before 3.50.2)."""
    parts = [f"{('sum', 'max', 'min', 'avg')[i % 4]}({i // 4})" for i in range(n)]
    while len(parts) > 1:
        parts = [
            "coalesce(" + ",".join(parts[i : i + 100]) + ",0)" for i in range(0, len(parts), 100)
        ]
    return f"SELECT {parts[0]} FROM customer"


def chain(n: int) -> str:
    """n common tables, each over the one before."""
    links = (f"a{i} AS(SELECT*FROM a{i - 1})" for i in range(1, n))
    return f"WITH a0 AS(SELECT 1),{','.join(links)}SELECT*FROM a{n - 1}"


def doubling(n: int) -> str:
    """2 to the power of n scans, written in n lines."""
    links = (f"a{i}(x) AS(SELECT p.x FROM a{i - 1} p,a{i - 1} q)" for i in range(1, n))
    return f"WITH a0(x) AS(SELECT 1),{','.join(links)}SELECT count(*) FROM a{n - 1}"


def cross_join(n: int) -> str:
    """A table joined with itself n times, without a condition."""
    return "SELECT count(*) FROM " + ",".join(f"customer c{i}" for i in range(n))


def chained_join(n: int) -> str:
    """A table joined with itself n times, each by its key."""
    joins = (f"JOIN customer c{i} ON c{i}.id=c{i - 1}.id" for i in range(1, n))
    return "SELECT count(*) FROM customer c0 " + " ".join(joins)


def ored_join(n: int) -> str:
    """A join that gives the planner n alternatives for each of eight tables."""
    tables = ",".join(f"customer c{i}" for i in range(8))
    either = " OR ".join(f"c{i % 8}.id=c{(i + 1) % 8}.id" for i in range(n))
    return f"SELECT count(*) FROM {tables} WHERE {either}"


def percents(n: int) -> str:
    """LIKE with n wildcards against a long text that almost fits."""
    return "SELECT printf('%.*c', 1000000, 'a') || 'c' LIKE '" + "%a_" * n + "b%c'"


def stars(n: int) -> str:
    """GLOB with n wildcards against a long text that almost fits."""
    return "SELECT printf('%.*c', 1000000, 'a') || 'c' GLOB '" + "*[a-z]?" * n + "b*c'"


def padding(n: int) -> str:
    """A right query behind n spaces."""
    return " " * n + "SELECT name FROM customer WHERE city = 'Rome'"


def comment(n: int) -> str:
    """A query before a comment of n characters."""
    return "SELECT 1 --" + "x" * n


def quoted(n: int) -> str:
    """A text of n quotes, never closed."""
    return "SELECT '" + "''" * (n // 2)


def names(n: int) -> str:
    """n columns with a name of 100,000 characters."""
    name = "x" * 100_000
    return f'WITH c("{name}") AS (SELECT 1) SELECT ' + ",".join(["c.*"] * n) + " FROM c"


def windows(n: int) -> str:
    """n windows over the same rows."""
    frame = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    sums = ",".join(f"sum(x+{i}) OVER (ORDER BY x+{i} {frame})" for i in range(n))
    return f"{ROWS} LIMIT 100000) SELECT {sums} FROM c"


MAKERS: dict[str, Callable[[int], str]] = {
    maker.__name__: maker
    for maker in (
        endless, rows, sorted_rows, distinct_rows, grouped_rows, big_values, parentheses,
        subqueries, derived, cases, whens, terms, conjunction, negations, compound, columns,
        arguments, in_list, values, aggregates, chain, doubling, cross_join, chained_join,
        ored_join, percents, stars, padding, comment, quoted, names, windows,
    )
}  # fmt: skip
