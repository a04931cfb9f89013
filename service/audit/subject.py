"""What is audited, by which rules, and what came of it: the values of an audit."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.audit.kinds import DROPPED, Finding
from service.audit.places import Databases
from service.sandbox.examining import Examined
from service.text2sql.questions import Fault, Question


@dataclass(frozen=True, slots=True)
class Subject:
    """A dataset to audit, or to audit against."""

    name: str
    questions: Sequence[Question | None]
    databases: Databases
    faults: dict[int, Fault] = field(default_factory=dict)
    """The rows that are no question (None above)."""

    def rows(self) -> dict[int, Question]:
        """The questions by their row."""
        return {n: q for n, q in enumerate(self.questions) if q is not None}


@dataclass(frozen=True, slots=True)
class Options:
    """What counts as slow, which kinds of findings make a question unfit, how long all may take."""

    slow_s: float = 5.0
    drop: tuple[str, ...] = DROPPED
    time_limit_s: float | None = None
    """For all golds together and what goes before them, seconds; None: as long as it takes."""


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was found, sorted by row."""

    subject: Subject
    against: tuple[str, ...]
    options: Options
    gold_timeout_s: float
    findings: list[Finding]
    golds: dict[int, Examined]
    """By row; a question that is malformed, not reached, or on no known database has none."""
    sha256: dict[str, str]
    """Content hash of each database that could be read."""

    def why(self) -> dict[int, list[str]]:
        """The rows that are left out of a cleaned dataset, and the kinds that are the reason."""
        kinds: dict[int, list[str]] = defaultdict(list)
        for finding in self.findings:
            if finding.kind in self.options.drop and finding.kind not in kinds[finding.row]:
                kinds[finding.row].append(finding.kind)
        return {row: names for row, names in kinds.items() if names}
