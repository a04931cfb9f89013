"""An audit's report as one HTML page: no other file, no other host, nothing hostile gets through.

Every text of the dataset is escaped, and a content security policy that knows the hashes of the
page's own style and script lets nothing else run, should an escape ever be missed.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from service.audit.pictures import Bar, bars
from service.audit.report import Report
from service.audit.texts import counted, visible

_HERE = Path(__file__).parent
_LISTED = 5_000  # findings in the table; the JSON has them all
_DATABASES = 20


def as_html(report: Report) -> bytes:
    """UTF-8; readable without the script, which only filters the table."""
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    title = f"Gold audit of {_safe(report['dataset'])}"
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(css, script)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{css}</style></head>\n<body><header><h1>{title}</h1>"
        f"{_lead(report)}</header>\n<main>{''.join(_sections(report))}</main>"
        f"<script>{script}</script></body></html>\n"
    )
    return page.encode(errors="backslashreplace")


def _policy(css: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(css)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _safe(value: object) -> str:
    return "" if value is None else escape(visible(str(value)))


def _lead(report: Report) -> str:
    against = ", ".join(map(_safe, report["against"]))
    compared = f'<p class="soft">Compared with {against}.</p>' if against else ""
    numbers = {
        "questions": report["questions"],
        "fit": report["kept"],
        "unfit": report["dropped"],
        "databases": len(report["databases"]),
        "findings": len(report["findings"]),
    }
    boxes = (f"<div><dt>{name}</dt><dd>{number:,}</dd></div>" for name, number in numbers.items())
    return f'{compared}<dl class="numbers">{"".join(boxes)}</dl>'


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
        f'<tr><th scope="row" class="kind">{_safe(s["kind"])}</th><td class="n">{s["count"]}</td>'
        f"<td>{'unfit' if s['dropped'] else 'reported'}</td><td>{_safe(s['meaning'])}</td></tr>"
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
    kinds = _options("all kinds", dict.fromkeys(f["kind"] for f in listed))
    databases = _options("all databases", sorted({f["db_id"] for f in listed if f["db_id"]}))
    return (
        "<h2>All findings</h2><form hidden>"
        '<label>Words in question, gold or evidence<input name="words" type="search"></label>'
        f'<label>Kind<select name="kind">{kinds}</select></label>'
        f'<label>Database<select name="db">{databases}</select></label>'
        '<output id="shown" class="soft"></output></form>'
        f'<table id="found"><caption>{counted(len(report["findings"]), "finding")}.{note}</caption>'
        '<thead><tr><th scope="col">kind</th><th scope="col">question</th>'
        '<th scope="col">database</th><th scope="col">evidence, question and gold</th></tr></thead>'
        f"<tbody>{''.join(map(_row, listed))}</tbody></table>"
    )


def _options(everything: str, names: Iterable[str]) -> str:
    listed = (f"<option>{_safe(name)}</option>" for name in names)
    return f'<option value="">{everything}</option>{"".join(listed)}'


def _row(finding: Report) -> str:
    kind = _safe(finding["kind"])
    return (
        f'<tr><td class="kind" data-kind="{kind}">{kind}</td><td>{_safe(finding["question_id"])}'
        f"</td><td>{_safe(finding['db_id'])}</td><td>{_safe(finding['evidence'])}"
        f"<br><span class='soft'>{_safe(finding['question'])}</span>"
        f"<br><code>{_safe(finding['gold_sql'])}</code></td></tr>\n"
    )
