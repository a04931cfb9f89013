"""Statements that run into their deadline or end their worker, for the load benches."""

_ENDLESS = "WITH RECURSIVE c(n) AS (SELECT {n} UNION ALL SELECT n + 1 FROM c) SELECT sum(n) FROM c"
_UNSTOPPABLE = "SELECT instr(printf('%.*c', 6000000, 'a'), printf('%.*c', 3000000, 'a') || 'b{n}')"
_CROSS = "SELECT count(*) + {n} FROM order_line a, order_line b, order_line c, order_line d"
_SORT_HOG = (
    "WITH RECURSIVE c(n) AS (SELECT {n} UNION ALL SELECT n + 1 FROM c LIMIT 100000000) "
    "SELECT group_concat(n, printf('%.*c', 1000, 'x')) FROM (SELECT n FROM c ORDER BY -n)"
)
_VALUE_HOG = "SELECT {n} + length(replace(printf('%.*c', 15000000, 'a'), 'a', 'bbbbbbbb'))"
_ROW_HOG = (
    "WITH RECURSIVE c(n) AS (SELECT {n} UNION ALL SELECT n + 1 FROM c LIMIT {n} + 3000) "
    "SELECT count(*) FROM (SELECT DISTINCT n, randomblob(1000000) FROM c)"
)
KINDS = {
    "endless": _ENDLESS,
    "unstoppable": _UNSTOPPABLE,
    "cross_join": _CROSS,
    "sort_hog": _SORT_HOG,
    "value_hog": _VALUE_HOG,
    "row_hog": _ROW_HOG,
}


def attack(number: int) -> str:
    """The statement of that number: the kinds take turns, and no two texts are the same."""
    kinds = list(KINDS.values())
    return kinds[number % len(kinds)].format(n=number)
