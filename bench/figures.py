"""What every bench prints and writes: its command, the machine, figures with their spread."""

import json
import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Facts that a figure depends on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_1min_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest, four significant digits."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def shown(figures: dict[str, float]) -> str:
    """A spread as people read it."""
    return f"{figures['median']:g} ({figures['min']:g} to {figures['max']:g})"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(folder: Path | None, name: str, found: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write `<folder>/<name>.json`, if a folder is given, and say where; always print the facts."""
    module = (sys.modules["__main__"].__spec__ or __spec__).name
    command = " ".join(["python -m", module, *sys.argv[1:]])
    print(f"command: {command}\nmachine: {facts}")
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"command": command, "machine": facts} | found, indent=1) + "\n")
    print(f"written to {path}")
