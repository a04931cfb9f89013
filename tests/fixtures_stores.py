"""Stores for tests: a SQLite file, and a PostgreSQL server of our own where one is installed."""

import getpass
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PROGRAMS = [Path(name).resolve().parent for name in filter(None, [shutil.which("postgres")])]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of an empty database that ends with the tests; it listens on a socket file only."""
    if not PROGRAMS or importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs a PostgreSQL server (initdb, pg_ctl) and the package asyncpg")
    user = _other_than_root()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir="/tmp")))  # sockets: short paths
        shutil.chown(folder, user)
        data = str(folder / "data")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        _run(user, "initdb", "-D", data, "-A", "trust", "-U", "verisql")
        _run(user, "pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        stack.callback(_run, user, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        yield f"postgresql+asyncpg://verisql@/postgres?host={folder}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address for VERISQL_STORE_URL."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres"))


def _other_than_root() -> str:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    users = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in users)


def _run(user: str, program: str, *arguments: str) -> None:
    change = {"user": user} if os.geteuid() == 0 else {}
    command = [str(PROGRAMS[0] / program), *arguments]
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        cwd="/",
        timeout=60,
        **change,  # type: ignore[call-overload]
    )
