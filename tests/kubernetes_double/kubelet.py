"""Runs the double's pods as processes of this machine, one session each."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.kubernetes_double.cluster import INDEX, Cluster, Thing

ROOT = Path(__file__).parents[2]


class ProcessKubelet:
    """Starts a pod's command at once; its output is the pod's log."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self.starved: set[str] = set()
        """Pods whose end the kernel's out-of-memory killer has brought about."""

    def run(self, pod: Thing) -> None:
        name = pod["metadata"]["name"]
        container = pod["spec"]["containers"][0]
        variables = _variables(pod, container)
        command = [_expanded(w, variables) for w in container["command"] + container["args"]]
        path = str(Path(sys.executable).parent)
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=container["workingDir"],
                env={"PATH": f"{path}:{os.defpath}", "PYTHONPATH": str(ROOT)} | variables,
                start_new_session=True,
            )
        self._running[name] = process
        self._cluster.start(name)
        self._in_thread(self._await, name, process)

    def stop(self, name: str, grace_s: float) -> None:
        process = self._running.get(name)
        if process is None:
            return
        if grace_s == 0:
            _end(process)
            return
        # Only the first process of a container is told.
        process.send_signal(signal.SIGTERM)

    def log(self, name: str) -> bytes:
        return (self._folder / f"{name}.log").read_bytes()

    def close(self) -> None:
        """End what still runs."""
        for process in list(self._running.values()):
            _end(process)
        for thread in self._threads:
            thread.join(10)

    def _await(self, name: str, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        _end(process)  # Whatever else ran in the container ends with its first process.
        with self._cluster.lock:
            self._running.pop(name, None)
            if name in self._cluster.things["pods"]:
                why = "OOMKilled" if name in self.starved else None
                self._cluster.finish(name, 128 - code if code < 0 else code, why)

    def _in_thread(self, act: Any, *given: Any) -> None:
        thread = threading.Thread(target=act, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _variables(pod: Thing, container: Thing) -> dict[str, str]:
    index = pod["metadata"].get("annotations", {}).get(INDEX, "")
    return {v["name"]: v.get("value", index) for v in container["env"]}


def _expanded(word: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word)
