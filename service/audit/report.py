"""An audit as data and as JSON: everything in it is the same in each run, `timings` apart."""

import json
from collections import Counter
from typing import Any

from service.audit.kinds import KINDS, Finding
from service.audit.subject import Audit
from service.pages.texts import cut

Report = dict[str, Any]
_SLOWEST = 10
_LONGEST = 4_000  # characters of a question or gold that a finding repeats
_BOUNDS_MS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 10_000.0)


def as_dict(audit: Audit) -> Report:
    """The report, with plain values only; docs/audit.md describes each field."""
    why = audit.why()
    total = len(audit.subject.questions)
    return {
        "dataset": audit.subject.name,
        "against": list(audit.against),
        "questions": total,
        "kept": total - len(why),
        "dropped": len(why),
        "rules": {
            "slow_s": audit.options.slow_s,
            "gold_timeout_s": audit.gold_timeout_s,
            "time_limit_s": audit.options.time_limit_s,
            "drop": list(audit.options.drop),
        },
        "summary": _summary(audit),
        "databases": _databases(audit, why),
        "findings": [_finding(audit, finding) for finding in audit.findings],
        "why": [
            {"row": row, "question_id": question_id(audit, row), "kinds": kinds}
            for row, kinds in why.items()
        ],
        "timings": _timings(audit),
    }


def as_json(report: Report) -> bytes:
    """UTF-8; halves of surrogate pairs, which UTF-8 has not, stay JSON escapes."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    return text.encode(errors="backslashreplace") + b"\n"


def question_id(audit: Audit, row: int) -> str:
    """The dataset's own id; the row's number where it has none."""
    question = audit.subject.questions[row]
    return audit.subject.faults[row].question_id if question is None else question.question_id


def _summary(audit: Audit) -> list[Report]:
    by_kind: dict[str, dict[int, None]] = {name: {} for name in KINDS}
    for finding in audit.findings:
        by_kind[finding.kind][finding.row] = None
    return [
        {
            "kind": name,
            "meaning": KINDS[name].meaning,
            "dropped": name in audit.options.drop,
            "count": len(rows),
            "question_ids": [question_id(audit, row) for row in rows],
        }
        for name, rows in by_kind.items()
        if rows
    ]


def _databases(audit: Audit, why: dict[int, list[str]]) -> list[Report]:
    rows = audit.subject.rows()
    asked = Counter(question.db_id for question in rows.values())
    dropped = Counter(rows[row].db_id for row in why if row in rows)
    found: dict[str, Counter[str]] = {db_id: Counter() for db_id in asked}
    for finding in audit.findings:
        if finding.row in rows:
            found[rows[finding.row].db_id][finding.kind] += 1
    return [
        {
            "db_id": db_id,
            "sha256": audit.sha256.get(db_id),
            "questions": asked[db_id],
            "dropped": dropped[db_id],
            "findings": {name: found[db_id][name] for name in KINDS if found[db_id][name]},
        }
        for db_id in sorted(asked)
    ]


def _finding(audit: Audit, finding: Finding) -> Report:
    question = audit.subject.questions[finding.row]
    return {
        "kind": finding.kind,
        "row": finding.row,
        "question_id": question_id(audit, finding.row),
        "db_id": question.db_id if question else None,
        "evidence": finding.evidence,
        "others": [question_id(audit, row) for row in finding.others],
        "question": cut(question.question, _LONGEST) if question else None,
        "gold_sql": cut(question.gold_sql, _LONGEST) if question else None,
    }


def _timings(audit: Audit) -> Report:
    times = [(gold.elapsed_ms, row) for row, gold in audit.golds.items() if gold.elapsed_ms]
    slowest = sorted(times, key=lambda t: (-t[0], t[1]))[:_SLOWEST]
    bounds = [*_BOUNDS_MS, None]
    counts = [0] * len(bounds)
    for elapsed_ms, _ in times:
        counts[sum(elapsed_ms > bound for bound in _BOUNDS_MS)] += 1
    return {
        "sum_ms": round(sum(elapsed_ms for elapsed_ms, _ in times), 3),
        "histogram": [
            {"up_to_ms": bound, "golds": count} for bound, count in zip(bounds, counts, strict=True)
        ],
        "slowest": [
            {"row": row, "question_id": question_id(audit, row), "elapsed_ms": elapsed_ms}
            for elapsed_ms, row in slowest
        ],
    }
