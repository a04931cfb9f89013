"""What became of one prediction: all that a reward may depend on."""

from dataclasses import dataclass, field

from service.text2sql.types import Extract, Status

Components = dict[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prediction with its verdict; `sql` is what was taken out of `completion` by `extract`."""

    status: Status
    metrics: dict[str, float] = field(default_factory=dict)
    """Value of each metric that was asked for, 0..1 (`bird_r_ves` to 1.25)."""
    completion: str = ""
    sql: str | None = None
    extract: Extract = "none"

    @property
    def ran(self) -> bool:
        """True if the prediction ran and was compared."""
        return self.status in ("match", "mismatch")
