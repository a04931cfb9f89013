"""The table of hostile predictions, tests/cases/attacks.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.attack_sql import MAKERS

TABLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "cases" / "attacks.yaml").read_text(encoding="utf-8")
)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    id: str
    expect: list[str]
    why: str
    sql: str | None = None
    make: str | None = None
    n: int = 0

    def text(self, tmp: Path) -> str:
        """The statement, `{tmp}` filled in."""
        if self.make:
            return MAKERS[self.make](self.n)
        return str(self.sql).replace("{tmp}", str(tmp))

    def __str__(self) -> str:
        return self.id


def cases(theme: str) -> list[Case]:
    """The cases of one theme."""
    return [Case(**case) for case in TABLE[theme]]
