"""Which rows a stage trains on is settled once: later sessions and other ranks take the same ones.

Whether a gold could be run, and whether copies could be built, may change from one session to the
next; the order of the data is a function of the rows, and must not change in mid-training.
`stages/<stage>/rows.json` holds, for each template, the ids in order, each with a digest.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from service.text2sql.evaluation.whole_file import write_whole
from trainer.dataset import Row
from trainer.errors import TrainingRowsChanged

Kept = list[list[str]]
"""Ids and digests, in the order of the rows."""
_NAMED = 3


def settled_rows(path: Path, template: str, rows: Sequence[Row], *, write: bool) -> list[Row]:
    """The rows that the first session has settled on, of `rows`; they are kept where none has.

    Rows that have come since are left out. Raises TrainingRowsChanged where one of them is gone, or
    has another question or gold; InvalidRequest where the file cannot be written.
    """
    every: dict[str, Kept] = json.loads(path.read_bytes()) if path.exists() else {}
    kept = every.get(template)
    if kept is None:
        if write:
            every[template] = [[row.question_id, _digest(row)] for row in rows]
            write_whole(path, json.dumps(every, separators=(",", ":")).encode())
        return list(rows)
    known = {(row.question_id, _digest(row)): row for row in rows}
    wanted = [(question_id, digest) for question_id, digest in kept]
    if gone := [
        question_id for question_id, digest in wanted if (question_id, digest) not in known
    ]:
        raise TrainingRowsChanged(_told(path, gone), param="train_data")
    return [known[one] for one in wanted]


def _told(path: Path, gone: Sequence[str]) -> str:
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    return (
        f"this run trains on questions that are not to be had any more, or not as they were: "
        f"{', '.join(gone[:_NAMED])}{more} ({path.parent.name}/{path.name}). Put the training data "
        "and its databases back as they were, or start a new run"
    )


def _digest(row: Row) -> str:
    """Of what is asked and what judges it; prompts follow from it and the run's settings."""
    asked = [row.db_id, row.question.question, row.question.evidence, row.gold_sql]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
