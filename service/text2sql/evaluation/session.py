"""One session of a run: when it was, and the report of what there is at its end."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from service.text2sql.evaluation.folder import RunFolder
from service.text2sql.evaluation.report_files import write_report
from service.text2sql.questions import Question


@contextmanager
def session(
    folder: RunFolder, questions: Sequence[Question], metrics: Sequence[str]
) -> Iterator[None]:
    """Write down when it was and what came of it, however it ends; `questions` are the file's."""
    started_at, began, known = _now(), time.monotonic(), len(folder.outcomes)
    try:
        yield
    finally:
        asked = len(folder.outcomes) - known
        seconds = round(time.monotonic() - began, 3)
        folder.sessions.append(
            {"started_at": started_at, "ended_at": _now(), "seconds": seconds, "asked": asked}
        )
        write_report(folder, questions, metrics)


def machine() -> dict[str, Any]:
    """What a manifest says of the machine."""
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
