"""Verdicts as they were recorded; `python -m tests.recorded_verdicts` records them anew.

Times are left out, and so are the engine's own words, which depend on its version.
"""

import asyncio
import hashlib
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.copies import Copies
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.types import Robust, VerifyTask
from service.text2sql.verifier import Verifier
from tests.conftest import SHOP

TABLE = Path(__file__).parent / "cases" / "verdicts.json"
Case = dict[str, Any]
_LISTS = ("gold_sql", "predictions", "metrics")
_LEFT_OUT = ("elapsed_ms", "cached")
_ENGINES_WORDS = ("syntax_error", "exec_error", "forbidden", "too_large", "gold_error")


def recorded() -> list[Case]:
    """`request` and `report` of each case."""
    cases: list[Case] = json.loads(TABLE.read_text())
    return cases


def digest(cases: list[Case]) -> str:
    """Of the whole table, whatever its white space."""
    text = json.dumps(cases, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def judged_anew(folder: Path, cases: list[Case]) -> list[Case]:
    """The table with what the verifier says now, on the shop in a new file below `folder`."""
    path = folder / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SHOP)

    async def main() -> list[Case]:
        async with Executor(workers=1, limits=Limits(group_timeout_s=600.0)) as executor:
            registry = DatabaseRegistry.scan([folder / "data"])
            verifier = Verifier(registry, executor, copies=Copies(folder / "copies"))
            return [{"request": c["request"], "report": await _report(verifier, c)} for c in cases]

    return asyncio.run(main())


async def _report(verifier: Verifier, case: Case) -> Case:
    report = json.loads(orjson.dumps(await verifier.verify(_task(case["request"]))))
    return {
        "gold": _without_times(report["gold"]),
        "verdicts": [_without_times(verdict) for verdict in report["verdicts"]],
    }


def _task(request: Case) -> VerifyTask:
    fields = request | {name: tuple(request[name]) for name in _LISTS if name in request}
    if "robust" in request:
        fields["robust"] = Robust(**request["robust"])
    if "reject_flags" in request:
        fields["reject_flags"] = frozenset(request["reject_flags"])
    return VerifyTask("shop", **fields)


def _without_times(part: Case) -> Case:
    kept = {name: value for name, value in part.items() if name not in _LEFT_OUT}
    return kept | ({"message": "..."} if part["status"] in _ENGINES_WORDS else {})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        table = judged_anew(Path(made), recorded())
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in table)
    TABLE.write_text(f"[\n{lines}\n]\n")
    print(digest(table))  # noqa: T201
