"""An audit's report as Markdown, for a pull request or a log."""

import re
from collections.abc import Iterator, Sequence

from service.audit.report import Report
from service.pages.texts import counted, cut, visible

_LISTED = 50  # findings of one kind; the JSON has them all
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&$])")


def as_markdown(report: Report) -> str:
    """Tables: what was found, by database, and each finding with its evidence."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    total, kept = report["questions"], report["kept"]
    yield f"# Gold audit of {_plain(report['dataset'])}"
    yield ""
    yield f"{counted(total, 'question')}: {kept} fit, {report['dropped']} unfit."
    if report["against"]:
        yield f"Compared with {', '.join(map(_plain, report['against']))}."
    yield from ("", "## Findings", "")
    if not report["summary"]:
        yield "None."
        return
    yield from _table(
        ("kind", "questions", "unfit", "what it means"),
        [
            (f"`{s['kind']}`", s["count"], "yes" if s["dropped"] else "", s["meaning"])
            for s in report["summary"]
        ],
    )
    yield from ("", "## Databases", "")
    yield from _table(
        ("database", "questions", "unfit", "findings"),
        [
            (_plain(d["db_id"]), d["questions"], d["dropped"], sum(d["findings"].values()))
            for d in report["databases"]
        ],
    )
    for kind in report["summary"]:
        yield from _section(kind["kind"], report)


def _section(kind: str, report: Report) -> Iterator[str]:
    found = [finding for finding in report["findings"] if finding["kind"] == kind]
    yield from ("", f"## `{kind}`", "")
    yield from _table(
        ("question", "database", "evidence", "gold"),
        [
            (
                _plain(f["question_id"]),
                _plain(f["db_id"] or ""),
                _plain(f["evidence"]),
                _plain(cut(f["gold_sql"] or "", 200)),
            )
            for f in found[:_LISTED]
        ],
    )
    if len(found) > _LISTED:
        yield from ("", f"and {len(found) - _LISTED} more: the JSON report has all of them.")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from map(_row, rows)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: one line, no markup, no HTML, no cell's end."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))
