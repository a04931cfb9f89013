"""What the tests of the audit share: a sandbox of short limits, and a dataset of rows."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.audit.places import Chain
from service.audit.run import audit
from service.audit.subject import Audit, Options, Subject
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.questions import sort_rows

LIMITS = Limits(gold_timeout_s=1.0, kill_grace_s=0.2, max_gold_rows=10_000)
CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "cases" / "audit.json").read_text()
)
Row = dict[str, Any]


def subject(rows: Sequence[Row], folder: Path, name: str = "rows.json") -> Subject:
    """The rows as a dataset whose databases lie in the folder."""
    questions, faults = sort_rows(rows, name)
    return Subject(name, questions, Chain([DatabaseRegistry.scan([folder])]), faults)


def run(
    audited: Subject,
    *against: Subject,
    options: Options | None = None,
    limits: Limits = LIMITS,
    workers: int = 2,
) -> Audit:
    """Audit it in a sandbox of its own."""

    async def main() -> Audit:
        async with Executor(workers=workers, limits=limits) as executor:
            return await audit(executor, audited, against, options, concurrency=workers)

    return asyncio.run(main())


def kinds(done: Audit) -> dict[int, list[str]]:
    """Names of what was found, by row."""
    found: dict[int, list[str]] = {}
    for finding in done.findings:
        found.setdefault(finding.row, []).append(finding.kind)
    return found
