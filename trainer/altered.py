"""Altered copies in training: databases without any are left out, matches not tried on all masked.

A reward must not depend on how busy the machine was. A match that ran out of time or memory before
it was tried on every copy is therefore neither paid nor punished: its reward is None.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from service.errors import DatabaseUnusable, Unavailable, UnknownDatabase
from service.text2sql.copies import Copies
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.questions import Question
from service.text2sql.types import Robust, Verdict

_LOG = logging.getLogger("trainer")
_UNTRIED = "a match, not tried on all altered copies: left out"


def with_copies(
    questions: Sequence[Question], have: dict[str, bool], dropped: Counter[str]
) -> list[Question]:
    """Questions on databases that have copies; the others are counted as `no_copies`."""
    kept = [question for question in questions if have[question.db_id]]
    dropped["no_copies"] += len(questions) - len(kept)
    return kept


async def build(copies: Copies, registry: DatabaseRegistry, db_id: str, instances: int) -> bool:
    """False where no copies can be made; True for a database that cannot be looked at, since
    others say that by its own name. Raises NoDiskSpace.
    """
    try:
        database, sha256 = await registry.look(db_id)
    except (UnknownDatabase, DatabaseUnusable):
        return True
    try:
        await copies.get(database, sha256, Robust(instances=instances))
    except (DatabaseUnusable, Unavailable) as error:
        _LOG.warning("%s", error.message)
        return False
    return True


def settled(verdict: Verdict) -> Verdict:
    """The verdict; masked if it is a match that was not tried on all copies."""
    tried = verdict.robust is not None and bool(verdict.robust.get("complete"))
    if verdict.status != "match" or tried:
        return verdict
    return replace(
        verdict, status="infra_error", reward=None, masked=True, retryable=True, message=_UNTRIED
    )
