"""A PostgreSQL server of a test's own, on a socket, where its programs are at hand."""

import csv
import io
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from service.text2sql.schema import Schema

_INITDB = shutil.which("initdb")
BIN = Path(_INITDB).resolve().parent if _INITDB else None
_USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def missing() -> str | None:
    """Why there can be no server here, or None."""
    if BIN is None or not (BIN / "psql").exists() or not (BIN / "pg_ctl").exists():
        return "PostgreSQL: no initdb, pg_ctl and psql here"
    names = {entry.pw_name for entry in pwd.getpwall()}
    return None if _USER in names else f"PostgreSQL does not run as root: no user {_USER} here"


class Postgres:
    """A server in a folder, asked through psql."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = count()

    def start(self) -> None:
        """Start it and wait until it can be asked."""
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        start = ("-o", options, "-l", self._folder / "log", "-w")
        done = _program("pg_ctl", "-D", self._folder / "data", *start, "start")
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """End it at once, as a crash would: what it answers for is in its log of writes."""
        _program("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop")

    def processes(self) -> list[psutil.Process]:
        """The server's own process and every one that it has started."""
        written = (self._folder / "data" / "postmaster.pid").read_text()
        first = psutil.Process(int(written.split()[0]))
        return [first, *first.children(recursive=True)]

    def new_database(self) -> str:
        """The URL of an empty database, for VERISQL_STORE_URL."""
        name = f"store{next(self._made)}"
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql+asyncpg://test@/{name}?host={self._folder}"

    def run(self, sql: str) -> list[list[str]]:
        """Rows as texts, NULL as an empty one; raises RuntimeError with the server's message."""
        command = [*("-h", self._folder, "-U", "test", "-d", "postgres", "-q", "--csv", "-t")]
        done = _program("psql", *command, "-v", "ON_ERROR_STOP=1", given=sql)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return list(csv.reader(io.StringIO(done.stdout)))

    def load(self, database: Path, schema: Schema) -> None:
        """The tables of a SQLite file with their rows."""
        source = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
        for table in schema.tables:
            columns = ", ".join(f"{c.name} {_type(c.type)}" for c in table.columns)
            rows = source.execute(f"SELECT * FROM {table.name}").fetchall()
            values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
            self.run(
                f"CREATE TABLE {table.name} ({columns}); INSERT INTO {table.name} VALUES {values}"
            )
        source.close()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that ends with the block; its socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        data = folder / "data"
        made = _program("initdb", "-D", data, "-A", "trust", "-U", "test", "-E", "UTF8", "-N")
        assert made.returncode == 0, made.stderr
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _program(name: str, *given_args: Any, given: str = "") -> subprocess.CompletedProcess[str]:
    assert BIN is not None
    command = [str(BIN / name), *map(str, given_args)]
    user = _USER if os.geteuid() == 0 else None
    return subprocess.run(
        command, input=given, capture_output=True, text=True, user=user, cwd="/", check=False
    )


def _type(declared: str) -> str:
    return {"INTEGER": "bigint", "REAL": "double precision"}.get(declared.upper(), "text")


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return repr(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"
