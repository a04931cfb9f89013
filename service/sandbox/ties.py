"""Does a LIMIT cut through rows that tie? Runs in the worker, on the data that is there."""

import re
import time
from collections import Counter

from service.sandbox.limits import Limits
from service.sandbox.sqlite import ENGINE_ERRORS, Connection
from service.text2sql.compare.rows import Row
from service.text2sql.tie_probe import Probe, tie_probe
from service.text2sql.ties import tie_variants

_LAST_LIMIT = re.compile(r"\s(\d{1,18})\s*;?\s*")


def limit_cuts_ties(
    connection: Connection, sql: str, shape: tuple[int, int], timeout_s: float, limits: Limits
) -> bool | None:
    """True if the statement's rows depend on how ties at a LIMIT are broken, None if unknown.

    `shape` is what the statement gave: columns, rows.

    Only a statement with a LIMIT is run again: once where one row more tells
    (text2sql/tie_probe.py), else twice, with ties broken in two opposite ways by the output's
    columns (text2sql/ties.py). None where that takes too long or does not run.
    """
    columns, rows = shape
    if "limit" not in sql.lower() or _cuts_nothing(sql, rows):
        return False
    stop_at = time.thread_time() + timeout_s
    probe = tie_probe(sql)
    if probe and (found := _probed(connection, probe, columns, timeout_s)) is not None:
        return found
    variants = tie_variants(sql, columns)
    if variants is None:
        return False
    bags = []
    for variant in variants:
        try:
            bags.append(_bag(connection, variant, stop_at - time.thread_time(), limits))
        except ENGINE_ERRORS:
            return None
        finally:
            connection.done()
    return None if None in bags else bags[0] != bags[1]


def _probed(connection: Connection, probe: Probe, columns: int, timeout_s: float) -> bool | None:
    try:
        return probe.cuts_ties(connection.execute(probe.sql, timeout_s).fetchall(), columns)
    except ENGINE_ERRORS:
        return None
    finally:
        connection.done()


def _cuts_nothing(sql: str, rows: int) -> bool:
    """True if the only LIMIT ends the statement and asks for more rows than there were."""
    low = sql.lower()
    at = low.rfind("limit")
    last = _LAST_LIMIT.fullmatch(sql, at + 5) if at >= 0 and low.find("limit") == at else None
    return last is not None and int(last[1]) > rows


def _bag(connection: Connection, sql: str, timeout_s: float, limits: Limits) -> Counter[Row] | None:
    """The rows and how often each is there; None for more than a gold may have."""
    rows = connection.execute(sql, timeout_s).fetchmany(limits.max_gold_rows + 1)
    return None if len(rows) > limits.max_gold_rows else Counter(rows)
