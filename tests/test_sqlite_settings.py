"""How a worker sets up SQLite itself, tried in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTLE = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import ctypes, sqlite3, _sqlite3
from service.sandbox.engine import settle
settled = settle()
db = sqlite3.connect(":memory:")
db.executescript("CREATE TABLE t(a); INSERT INTO t VALUES (3), (1), (2)")
rows = db.execute("SELECT a FROM t ORDER BY a").fetchall()
used = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used() if settled else 0
print(settled, rows == [(1,), (2,), (3,)], used)
"""


def test_a_settled_engine_answers_and_counts_no_bytes() -> None:
    command = [sys.executable, "-I", "-S", "-c", SETTLE]
    settled, right, used = subprocess.run(command, capture_output=True, check=True).stdout.split()
    assert right == b"True"
    if settled == b"False":
        pytest.skip("this Python has SQLite inside, or it is not Linux: nothing is set")
    assert used == b"0"
