"""Sample candidates for every question and score them; a killed run goes on at the next batch."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from service.text2sql.types import Verdict
from trainer.dataset import Row
from trainer.sampling import Complete, Written

Score = Callable[[Row, Sequence[str]], list[Verdict]]
"""Verdicts on completions of one question, in order."""

_SEED_STEP = 1_000_003


@dataclass(frozen=True, slots=True)
class Candidate:
    """One completion of a question, and what became of it."""

    text: str
    tokens: list[int]
    logps: list[float]
    sql: str | None
    status: str
    reward: float | None
    """None: it could not be judged."""
    finished: bool = True
    """It ended by itself, not at the longest length."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Those of one question under one template; one line of the file."""

    question_id: str
    db_id: str
    template: str
    completions: list[Candidate]

    @property
    def pass_rate(self) -> float | None:
        """Mean reward of those that were judged; None if none was."""
        rewards = [c.reward for c in self.completions if c.reward is not None]
        return sum(rewards) / len(rewards) if rewards else None


@dataclass(frozen=True, slots=True)
class Asking:
    """How candidates are made."""

    complete: Complete
    score: Callable[[Sequence[Row], Sequence[Sequence[str]]], list[list[Verdict]]]
    samples: int
    max_tokens: int
    temperature: float
    seed: int
    at_once: int = 16
    """Questions in one batch."""


def collect(
    path: Path,
    rows: Sequence[Row],
    template: str,
    asking: Asking,
    done: Callable[[int], None] = lambda asked: None,
) -> None:
    """Append a line for each row that has none yet; `done` hears how many there are.

    Batches are the same however often the run was killed, and each is seeded by its own number, so
    the file is that of an unbroken run. Raises OSError.
    """
    known = {(c.question_id, c.template) for c in read_candidates(path)}
    for start in range(0, len(rows), asking.at_once):
        batch = rows[start : start + asking.at_once]
        if any((row.question_id, template) not in known for row in batch):
            torch.manual_seed(asking.seed * _SEED_STEP + start)
            found = list(_ask(batch, template, asking))
            append(path, [c for c in found if (c.question_id, c.template) not in known])
        done(min(start + asking.at_once, len(rows)))


def read_candidates(path: Path) -> list[Candidates]:
    """All whole lines of the file; none if it is not there."""
    return [_candidates(line) for line in _whole_lines(path)]


def append(path: Path, found: Sequence[Candidates]) -> None:
    """Whole lines, on disk when it returns; a half line of a crash goes first. Raises OSError."""
    whole = sum(len(line) for line in _whole_lines(path))
    with path.open("ab") as file:
        file.truncate(whole)
        for one in found:
            file.write(json.dumps(_line(one), separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _ask(rows: Sequence[Row], template: str, asking: Asking) -> Iterator[Candidates]:
    written = asking.complete(
        [row.prompt for row in rows],
        n=asking.samples,
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
    )
    verdicts = asking.score(rows, [[one.text for one in group] for group in written])
    for row, group, judged in zip(rows, written, verdicts, strict=True):
        completions = [_candidate(one, v) for one, v in zip(group, judged, strict=True)]
        yield Candidates(row.question_id, row.db_id, template, completions)


def _candidate(written: Written, verdict: Verdict) -> Candidate:
    return Candidate(
        text=written.text,
        tokens=written.tokens,
        logps=[round(logp, 4) for logp in written.logps],
        sql=verdict.sql,
        status=verdict.status,
        reward=verdict.reward,
        finished=written.finished,
    )


def _whole_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _line(one: Candidates) -> dict[str, Any]:
    names = Candidate.__slots__
    return {
        "question_id": one.question_id,
        "db_id": one.db_id,
        "template": one.template,
        "completions": [{name: getattr(c, name) for name in names} for c in one.completions],
    }


def _candidates(line: bytes) -> Candidates:
    row = json.loads(line)
    completions = [Candidate(**c) for c in row.pop("completions")]
    return Candidates(**row, completions=completions)
