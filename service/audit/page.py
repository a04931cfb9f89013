"""An audit's report as one HTML page, safe whatever stands in the dataset."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from service.audit.report import Report
from service.pages.bars import Bar, bars
from service.pages.document import document, numbers, safe
from service.pages.filtered import Choice, filtered, row
from service.pages.texts import counted

_HERE = Path(__file__).parent
_LISTED = 5_000  # findings in the table; the JSON has them all
_DATABASES = 20


def as_html(report: Report) -> bytes:
    """UTF-8; readable without the script, which only filters the table."""
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    body = "".join(_sections(report))
    return document(f"Gold audit of {report['dataset']}", _lead(report), body, css)


def _lead(report: Report) -> str:
    against = ", ".join(map(safe, report["against"]))
    compared = f'<p class="soft">Compared with {against}.</p>' if against else ""
    counts = {
        "questions": report["questions"],
        "fit": report["kept"],
        "unfit": report["dropped"],
        "databases": len(report["databases"]),
        "findings": len(report["findings"]),
    }
    return compared + numbers({name: f"{count:,}" for name, count in counts.items()})


def _sections(report: Report) -> Iterator[str]:
    if report["findings"]:
        yield _by_kind(report)
        yield _by_database(report)
    else:
        yield "<h2>Findings</h2><p>None.</p>"
    yield _by_time(report)
    if report["findings"]:
        yield _table(report)


def _by_kind(report: Report) -> str:
    found = [
        Bar(s["kind"], s["count"], s["count"] if s["dropped"] else 0) for s in report["summary"]
    ]
    rows = (
        f'<tr><th scope="row" class="kind">{safe(s["kind"])}</th><td class="n">{s["count"]}</td>'
        f"<td>{'unfit' if s['dropped'] else 'reported'}</td><td>{safe(s['meaning'])}</td></tr>"
        for s in report["summary"]
    )
    return (
        "<h2>Findings by kind</h2><p class='soft'>Questions. A filled bar makes a question unfit; "
        f"a hatched one is only reported.</p>{bars('kinds', 'Questions by kind of finding', found)}"
        '<table><thead><tr><th scope="col">kind</th><th scope="col" class="n">questions</th>'
        '<th scope="col">effect</th><th scope="col">what it means</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _by_database(report: Report) -> str:
    worst = sorted(report["databases"], key=lambda d: (-sum(d["findings"].values()), d["db_id"]))
    drawn = [d for d in worst[:_DATABASES] if d["findings"]]
    found = [Bar(d["db_id"], sum(d["findings"].values()), _unfit(d, report)) for d in drawn]
    which = f"the {_DATABASES} databases with most" if len(worst) > _DATABASES else "each database"
    return (
        f"<h2>Findings by database</h2><p class='soft'>Findings in {which}; filled: those that "
        f"make a question unfit.</p>{bars('databases', 'Findings by database', found)}"
    )


def _unfit(database: Report, report: Report) -> int:
    drop = report["rules"]["drop"]
    return sum(count for kind, count in database["findings"].items() if kind in drop)


def _by_time(report: Report) -> str:
    times = report["timings"]["histogram"]
    found = [Bar(_bound(t["up_to_ms"], times), t["golds"], t["golds"]) for t in times]
    slow, limit = report["rules"]["slow_s"], report["rules"]["gold_timeout_s"]
    picture = bars("times", "Golds by time of one run", found, "plain")
    return (
        f"<h2>How long golds run</h2><p class='soft'>Golds by time of one run; slow is more than "
        f"{slow:g} s, stopped at {limit:g} s.</p>{picture}"
    )


def _bound(up_to_ms: float | None, times: Iterable[Report]) -> str:
    if up_to_ms is None:
        longest = max(t["up_to_ms"] for t in times if t["up_to_ms"] is not None)
        return f"more than {longest / 1000:g} s"
    return f"to {up_to_ms:g} ms" if up_to_ms < 1000 else f"to {up_to_ms / 1000:g} s"


def _table(report: Report) -> str:
    listed = report["findings"][:_LISTED]
    more = len(report["findings"]) - len(listed)
    note = f" {more} more stand in the JSON report." if more else ""
    kinds = dict.fromkeys(f["kind"] for f in listed)
    databases = sorted({f["db_id"] for f in listed if f["db_id"]})
    return "<h2>All findings</h2>" + filtered(
        f"{counted(len(report['findings']), 'finding')}.{note}",
        "Words in question, gold or evidence",
        [Choice("Kind", "all kinds", 0, kinds), Choice("Database", "all databases", 2, databases)],
        ["kind", "question", "database", "evidence, question and gold"],
        map(_row, listed),
    )


def _row(finding: Report) -> str:
    told = (
        f"{safe(finding['evidence'])}<br><span class='soft'>{safe(finding['question'])}</span>"
        f"<br><code>{safe(finding['gold_sql'])}</code>"
    )
    names = [safe(finding[name]) for name in ("kind", "question_id", "db_id")]
    return row([*names, told], {0: "kind"})
