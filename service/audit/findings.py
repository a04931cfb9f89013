"""From what running a gold has shown to findings about it: pure."""

from collections.abc import Iterator

from service.audit.kinds import Finding
from service.pages.texts import counted, one_line
from service.sandbox.examining import Examined

_BY_STATUS = {
    "forbidden": "writes",
    "timeout": "timeout",
    "too_large": "too_large",
    "infra_error": "not_run",
}
"""Every other status that is not ok is `broken`."""


def gold_findings(row: int, gold: Examined, slow_s: float) -> Iterator[Finding]:
    """What is wrong with one gold; `slow_s` seconds are still fast enough."""
    if gold.status != "ok":
        yield Finding(_failure(gold), row, one_line(_why(gold)))
        return
    if gold.elapsed_ms > slow_s * 1000:
        took = f"took {gold.elapsed_ms / 1000:.1f} s, more than {slow_s:g} s"
        yield Finding("slow", row, took)
    if not gold.tables:
        yield Finding("nothing_read", row, "reads no table of the database")
    if gold.rows == 0:
        yield Finding("empty", row, "no rows")
    elif gold.only_nulls:
        yield Finding("all_null", row, f"{counted(gold.rows, 'row')}, every value NULL")
    if gold.determinate is False:
        yield Finding("nondeterministic", row, one_line(f"{gold.reason}: {gold.detail}"))
    elif gold.determinate is None:
        yield Finding("unchecked", row, one_line(gold.detail or "not checked"))
    elif gold.tied_order:
        yield Finding("tied_order", row, "rows that tie in the ORDER BY have no order of their own")


def _failure(gold: Examined) -> str:
    return "unusable_database" if gold.corrupt else _BY_STATUS.get(gold.status, "broken")


def _why(gold: Examined) -> str:
    return f"{gold.message} ({gold.refused})" if gold.refused else gold.message or gold.status
