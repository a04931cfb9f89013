"""One model, one verifier and one set of databases answer a whole run, or it ends."""

from collections.abc import Sequence

from service.errors import Conflict
from service.text2sql.evaluation.manifest import drift
from service.text2sql.evaluation.outcome import Outcome


class Unchanged:
    """Compares each outcome with the first ones of the run."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        """`outcomes` are those of earlier sessions; raises as `check`."""
        self._first: dict[str, Outcome] = {}
        for outcome in outcomes:
            self.check(outcome)

    def check(self, outcome: Outcome) -> None:
        """Raises Conflict where the outcome was made with something else than those before."""
        db_id = outcome.question.db_id
        for earlier in (self._first.get("", outcome), self._first.get(db_id, outcome)):
            if changed := drift(earlier, outcome):
                raise Conflict(f"what answers has changed since the run began: {changed}")
        if outcome.provenance.model:
            self._first.setdefault("", outcome)
        if outcome.provenance.database_sha256:
            self._first.setdefault(db_id, outcome)
