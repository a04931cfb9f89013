"""Tell when two statements compile to the same program, so that one run serves both.

SQLite compiles a statement to a program for its virtual machine. Upper or lower case, white space,
comments, aliases and the names of result columns leave no trace in it. Two statements with the same
program on the same file give the same rows, unless they ask for the clock or for chance. EXPLAIN
costs some 50 microseconds, so this is worth its price only where statements are slow.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from service.sandbox.frames import Frame
from service.sandbox.gold import Gold
from service.sandbox.plan import Run
from service.sandbox.prediction import answer_of_gold
from service.sandbox.sqlite import ENGINE_ERRORS, Connection
from service.text2sql.compare.difference import difference
from service.text2sql.compare.evidence import Evidence


class Program(NamedTuple):
    """The steps (address, opcode, five operands), and what of the text they may show shortened."""

    steps: tuple[tuple[Any, ...], ...]
    shortened: tuple[str, ...]

    @property
    def columns(self) -> int | None:
        """Columns of the rows that it gives; None where steps disagree."""
        found = {step[3] for step in self.steps if step[1] == "ResultRow"}
        return found.pop() if len(found) == 1 else None


# What EXPLAIN shows shortened: blobs, and numbers with more digits than it prints. From 3.46 on
# digits may have `_` between them; what is found beyond that only sets statements apart.
_SHORTENED = re.compile(
    r"[xX]'[^']*'"
    r"|(?:\d[\d_]*)?\.\d[\d_]*(?:[eE][+-]?\d[\d_]*)?"
    r"|\d[\d_]*\.?[eE][+-]?\d[\d_]*"
    r"|\d[\d_]{15,}"
)
_SILENT = frozenset({"Explain", "Noop"})  # what a reader is told; it has the aliases in it


def program_of(connection: Connection, sql: str) -> Program | None:
    """The statement's program, or None if it does not compile or is not the same at every run."""
    try:
        cursor = connection.execute(f"EXPLAIN {sql}", timeout_s=1.0)
        steps = tuple(row[:7] for row in cursor.fetchall() if row[1] not in _SILENT)
    except ENGINE_ERRORS:
        return None
    finally:
        connection.done()
    if not steps or connection.volatile(sql):
        return None
    return Program(steps, shortened(sql))


def shortened(sql: str) -> tuple[str, ...]:
    """The literals that EXPLAIN may show shortened, as written and in order; rather too many."""
    return tuple(_SHORTENED.findall(sql))


class KnownPrograms:
    """The answers of one group that need no run: to the golds' own programs, and to those seen."""

    def __init__(
        self,
        connection: Connection,
        run: Run,
        golds: Sequence[Gold],
        diff_rows: int,
        by_width: bool,
    ) -> None:
        self._run = run
        self._golds = golds
        self._diff_rows = diff_rows
        self._by_width = by_width and run.arity_decides
        self._metrics = [name for name, _ in run.comparisons]
        self._answers: dict[Program, Frame] = {}
        for gold in golds:
            if (program := program_of(connection, gold.rows.sql)) is not None:
                self._answers.setdefault(program, answer_of_gold(gold, self._metrics))

    def answer(self, program: Program) -> Frame | None:
        """The answer to a prediction with this program, None where it has to be run."""
        known = self._answers.get(program)
        if known is None and program.columns is not None and self._wrong_width(program.columns):
            known = self._answers[program] = self._other_width(program.columns)
        return known

    def remember(self, program: Program, answer: Frame) -> None:
        """Keep the answer of a run; one that another run might change is not kept."""
        if answer["status"] not in ("timeout", "infra_error"):
            self._answers[program] = answer

    def _wrong_width(self, columns: int) -> bool:
        widths = (gold.rows.columns != columns and gold.rows.rows for gold in self._golds)
        return self._by_width and all(widths)

    def _other_width(self, columns: int) -> Frame:
        answer: Frame = {"status": "ok"}
        answer["metrics"] = dict.fromkeys(self._metrics, 0.0)
        if self._diff_rows:
            gold, (_, comparison) = self._golds[0].rows, self._run.comparisons[0]
            answer["diff"] = difference(gold, Evidence(columns, 0), comparison, self._diff_rows)
        return answer
