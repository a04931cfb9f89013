"""Gold audit: which golds can judge an answer, and which questions are asked more than once.

Each gold is run by the verifier that will judge with it, and then by the audit, which runs it again
and in other orders. What came of it is kept in a file of the run, so that a resumed run, or a later
stage, trains on the same questions even where a gold is near a time limit.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from service.audit.duplicates import duplicates
from service.errors import DatabaseUnusable
from service.sandbox.examining import Examined, examine
from service.text2sql.evaluation.whole_file import write_whole
from service.text2sql.questions import Question
from service.text2sql.types import VerifyReport, VerifyTask
from trainer.scale.ranks import is_main
from trainer.verifier_thread import VerifierThread

_BY_STATUS = {"timeout": "gold_timeout", "infra_error": "infra_error"}
"""Of the audit; every other status that is not ok is gold_error."""
_REPEATED = ("contradicting_question", "duplicate_question")


@dataclass(frozen=True, slots=True)
class Gold:
    """What running a gold has shown."""

    fault: str | None = None
    """Why it cannot judge: gold_error, gold_timeout, gold_slow (slower than a prediction may be),
    gold_empty, gold_all_null, gold_constant (reads no table), gold_unstable, infra_error."""
    rows: int = 0
    columns: int = 0
    digest: str = ""
    """Equal for equal bags of rows; empty where it is not known."""
    determinate: bool | None = None


def sound_questions(
    questions: Sequence[Question],
    verifier: VerifierThread,
    dropped: Counter[str],
    kept: Path | None = None,
) -> list[Question]:
    """Questions whose gold can judge, each asked once; the others are counted by reason.

    The first of equal questions stays where their golds return the same (the others are
    `duplicate_question`), none where they do not (`contradicting_question`). `kept` is the file
    of earlier results; rank 0 writes it. Raises UnknownDatabase, DatabaseUnusable, NoFreeWorker,
    InvalidRequest where it cannot be written.
    """
    golds = _look(questions, verifier, kept)
    dropped.update(gold.fault for gold in golds if gold.fault)
    sound = {n: gold for n, gold in enumerate(golds) if not gold.fault}
    return _once(questions, sound, dropped)


def asked_once(questions: Sequence[Question], dropped: Counter[str]) -> list[Question]:
    """The first of equal questions; for those whose golds nobody looks at."""
    # Without their golds, so that questions are equal whatever these say.
    blank = [replace(question, gold_sql="") for question in questions]
    kept = _once(blank, dict.fromkeys(range(len(blank)), Gold()), dropped)
    left = {question.question_id for question in kept}
    return [question for question in questions if question.question_id in left]


def _once(
    questions: Sequence[Question], sound: dict[int, Gold], dropped: Counter[str]
) -> list[Question]:
    rows = {n: questions[n] for n in sound}
    seen = {n: _examined(gold) for n, gold in sound.items() if gold.digest}
    found = {f.row: f.kind for f in duplicates(rows, seen) if f.kind in _REPEATED}
    dropped.update(found.values())
    return [question for n, question in rows.items() if n not in found]


def _examined(gold: Gold) -> Examined:
    return Examined(
        "ok",
        rows=gold.rows,
        columns=gold.columns,
        digest=gold.digest,
        determinate=gold.determinate,
    )


def _look(questions: Sequence[Question], verifier: VerifierThread, kept: Path | None) -> list[Gold]:
    """The golds in order; only those of which nothing is kept are run, equal ones once."""
    known = _read(kept)
    keys = [_key(question, verifier) for question in questions]
    new = {key: q for key, q in zip(keys, questions, strict=True) if key not in known}
    found = dict(zip(new, _run(list(new.values()), verifier), strict=True))
    lasting = {key: gold for key, gold in found.items() if gold.fault != "infra_error"}
    if kept and lasting and is_main():
        _write(kept, known | lasting)
    every = known | found
    return [every[key] for key in keys]


def _run(questions: Sequence[Question], verifier: VerifierThread) -> Iterator[Gold]:
    tasks = [VerifyTask(q.db_id, (q.gold_sql,), (q.gold_sql,)) for q in questions]
    slow_ms = verifier.executor.limits.query_timeout_s * 1000
    first = [_judged(report) for report in verifier.verify(tasks)]
    sound = [q for q, gold in zip(questions, first, strict=True) if not gold.fault]
    examined = iter(verifier.run_each(partial(_examine, verifier), sound))
    return (gold if gold.fault else _looked_at(next(examined), slow_ms) for gold in first)


def _judged(report: VerifyReport) -> Gold:
    """As the verifier itself sees it: a gold must match itself."""
    gold, itself = report.gold, report.verdicts[0].status
    if gold.status != "ok":
        return Gold(gold.status)
    if not gold.rows:
        return Gold("gold_empty")
    if itself == "timeout":
        return Gold("gold_slow")
    if itself == "infra_error":
        return Gold("infra_error")
    return Gold(None if itself == "match" else "gold_unstable")


def _looked_at(seen: Examined, slow_ms: float) -> Gold:
    return Gold(_fault(seen, slow_ms), seen.rows, seen.columns, seen.digest, seen.determinate)


def _fault(seen: Examined, slow_ms: float) -> str | None:
    if seen.status != "ok":
        return _BY_STATUS.get(seen.status, "gold_error")
    if seen.elapsed_ms > slow_ms:
        return "gold_slow"
    if seen.determinate is False:
        return "gold_unstable"
    if not seen.tables:
        return "gold_constant"
    return "gold_all_null" if seen.only_nulls else None


async def _examine(verifier: VerifierThread, question: Question) -> Examined:
    path = verifier.registry.get(question.db_id).path
    limit_s = verifier.executor.limits.gold_timeout_s
    try:
        return await examine(verifier.executor, path, question.gold_sql, limit_s)
    except DatabaseUnusable as error:
        return Examined("infra_error", message=error.message)


def _key(question: Question, verifier: VerifierThread) -> str:
    """Of all that the result depends on."""
    limits = verifier.executor.limits
    sha256 = verifier.registry.sha256(question.db_id)
    told = [verifier.version, sha256, question.gold_sql]
    text = json.dumps([*told, limits.query_timeout_s, limits.gold_timeout_s])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(kept: Path | None) -> dict[str, Gold]:
    if kept is None or not kept.exists():
        return {}
    rows: dict[str, dict[str, Any]] = json.loads(kept.read_bytes())
    return {key: Gold(**row) for key, row in rows.items()}


def _write(kept: Path, golds: dict[str, Gold]) -> None:
    write_whole(kept, json.dumps({key: asdict(gold) for key, gold in golds.items()}).encode())
