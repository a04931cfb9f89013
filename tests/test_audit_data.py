"""The audit over a public dataset of real golds, where it is at hand.

The data is not part of the project. It is looked for in TEST_DATA_DIR, or in a folder
`shared/data` beside the checkout. Its `flags` say of each gold whether it is empty, and whether it
has a LIMIT, without which no tie can decide what it returns.
"""

import asyncio
import os
from pathlib import Path

import pytest

from service.audit.places import Chain, beside
from service.audit.run import audit
from service.audit.subject import Audit, Subject
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.questions import read_dataset

DATA = Path(os.environ.get("TEST_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))
DEV = DATA / "dev" / "dev.json"

pytestmark = pytest.mark.skipif(not DEV.exists(), reason=f"gold audit of {DEV.name}: not there")


def test_every_gold_of_the_development_set_is_judged_as_its_flags_say() -> None:
    dataset = read_dataset(DEV)
    wanted = {question.db_id for question in dataset.questions if question}
    subject = Subject("dev.json", dataset.questions, Chain([beside(DEV, wanted)]))

    async def main() -> Audit:
        async with Executor(workers=2, limits=Limits()) as executor:
            return await audit(executor, subject, concurrency=2)

    done = asyncio.run(main())
    flags = [set(row["flags"]) for row in dataset.text.values]
    found: dict[str, set[int]] = {}
    for finding in done.findings:
        found.setdefault(finding.kind, set()).add(finding.row)
    assert len(done.golds) == len(flags)
    assert not found.keys() & {"broken", "writes", "timeout", "too_large", "not_run", "unchecked"}
    assert found["empty"] == {n for n, names in enumerate(flags) if "empty_gold" in names}
    tied = {f.row for f in done.findings if f.evidence.startswith("ties:")}
    assert tied
    assert tied <= {n for n, names in enumerate(flags) if "has_limit" in names}
    assert found["tied_order"] <= {n for n, names in enumerate(flags) if "has_order_by" in names}
