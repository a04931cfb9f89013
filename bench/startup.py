"""How long `verisql serve` takes to be ready, and how much memory it and its children then hold.

    python -m bench.startup --engine off --runs 5
    python -m bench.startup --engine local --runs 3

Ready is /readyz answering 200, which for a local engine includes a completion. Memory is PSS, which
counts shared pages once, of the service, its SQL workers and its engine apart.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

_MIB = 2**20


def main() -> None:
    """Print a line a run, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["off", "local"], default="off")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--home", type=Path, help="default: a new folder for each call")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        runs = [_run(given.engine, given.home or Path(fresh)) for _ in range(given.runs)]
    for name in runs[0]:
        values = [run[name] for run in runs]
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"{name}: median {middle:.1f}, {low:.1f} to {high:.1f}")


def _run(engine: str, home: Path) -> dict[str, float]:
    environment = os.environ | {"VERISQL_ENGINE": engine, "VERISQL_HOME": str(home)}
    environment.setdefault("VERISQL_MODELS_DIR", str(Path("~/.verisql/models").expanduser()))
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "service", "serve", "--port", "0"],
        env=environment, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            url = _address(process)
            answering = time.monotonic() - start
            while httpx.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.05 if engine == "off" else 0.5)
            found = {"answering_s": answering, "ready_s": time.monotonic() - start}
            found |= _memory(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
    print(", ".join(f"{name} {value:.1f}" for name, value in found.items()), flush=True)
    return found


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"answering on (http://\S+);", line):
            return found.group(1)
    raise SystemExit("the service did not start")


def _memory(pid: int) -> dict[str, float]:
    """PSS in MiB by kind of process."""
    found = {"service_mib": 0.0, "workers_mib": 0.0, "engine_mib": 0.0}
    service = psutil.Process(pid)
    for process in [service, *service.children(recursive=True)]:
        worker = "service.sandbox.worker" in " ".join(process.cmdline())
        name = "service_mib" if process == service else "workers_mib" if worker else "engine_mib"
        found[name] += process.memory_full_info().pss / _MIB
    return found


if __name__ == "__main__":
    main()
