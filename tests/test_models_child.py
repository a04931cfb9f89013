"""Child processes of the model sources: they end when asked, at the deadline, with the parent."""

import subprocess
import sys
import threading
import time

import psutil
import pytest

from service.models.child import ChildFailed, Stopped, run_module

SLEEP = ("timeit", "-n1", "-r1", "import time; time.sleep(60)")


def test_a_module_runs_and_its_output_comes_back() -> None:
    assert run_module("timeit", "-n1", "-r1", "pass").startswith("1 loop, best of 1")


def test_a_failure_gives_the_last_line() -> None:
    with pytest.raises(ChildFailed, match=r"^ZeroDivisionError: division by zero$"):
        run_module("timeit", "-n1", "-r1", "1/0")


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def test_a_deadline_ends_the_child_while_ticks_are_heard() -> None:
    ticks: list[float] = []
    before = _children()
    begin = time.monotonic()
    with pytest.raises(ChildFailed, match=r"no answer within 0\.5 s"):
        run_module(*SLEEP, timeout_s=0.5, tick=lambda: ticks.append(1), tick_s=0.1)
    assert time.monotonic() - begin < 5
    assert ticks
    assert _children() <= before


def test_stop_ends_the_child() -> None:
    stop = threading.Event()
    before = _children()
    with pytest.raises(Stopped):
        run_module(*SLEEP, stop=stop, tick=stop.set, tick_s=0.1)
    assert _children() <= before


def test_a_child_leaves_with_its_killed_parent() -> None:
    code = f"from service.models.child import run_module; run_module(*{SLEEP!r})"
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        process = psutil.Process(parent.pid)
        deadline = time.monotonic() + 10
        while not process.children() and time.monotonic() < deadline:
            time.sleep(0.02)
        (child,) = process.children()
        parent.kill()
    child.wait(timeout=10)
    assert not child.is_running()
