"""Connections that a worker keeps: bounded, renewed with the file, and large files mapped."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.errors import DatabaseUnusable
from service.sandbox.connections import Connections
from service.sandbox.fileversion import version_of
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure
from service.text2sql.types import VerifyReport
from tests.arena import Arena, write_database

SMALL = "CREATE TABLE t (a); INSERT INTO t VALUES ({n});"
ROWS = 20_000
LARGE = f"""
CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);
INSERT INTO t WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT {ROWS})
    SELECT x, printf('%.*c', 1100, 'f') || x FROM n;
"""
SCAN = "SELECT count(*), sum(length(b)) FROM t"
SAME = "SELECT count(b), sum(length(b)) FROM t WHERE a > 0"


def _first(connection: Connection) -> object:
    with connection.run("SELECT a FROM t", 5.0) as cursor:
        return cursor.fetchone()[0]


def _version(path: Path | str) -> str:
    return version_of(os.stat(path))


def _open(path: Path) -> int:
    return sum(file.path == str(path) for file in psutil.Process().open_files())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of more than 20 MB, which is mapped into memory."""
    return write_database(tmp_path_factory.mktemp("large") / "large.sqlite", LARGE)


def test_a_connection_is_kept_for_each_role_and_shared_by_none(tmp_path: Path) -> None:
    path = str(write_database(tmp_path / "t.sqlite", SMALL.format(n=1)))
    connections = Connections(Limits())
    gold = connections.get(path, _version(path), "gold")
    assert connections.get(path, _version(path), "gold") is gold
    others = [
        connections.get(path, _version(path), "prediction"),
        connections.get(path, _version(path), "gold", lenient_text=True),
    ]
    assert len({id(each) for each in [gold, *others]}) == 3


def test_a_replaced_file_is_read_anew_and_the_old_one_goes_in_time(tmp_path: Path) -> None:
    path = write_database(tmp_path / "t.sqlite", SMALL.format(n=1))
    connections = Connections(Limits(memory_mb=1))  # page caches of a quarter: 64 small files
    assert _first(connections.get(str(path), _version(str(path)), "gold")) == 1
    write_database(tmp_path / "new.sqlite", SMALL.format(n=2)).rename(path)
    assert _first(connections.get(str(path), _version(str(path)), "gold")) == 2
    gone = f"{path} (deleted)"
    before = [os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()]
    assert gone in before
    for n in range(100):
        other = write_database(tmp_path / f"{n}.sqlite", SMALL.format(n=n))
        assert _first(connections.get(str(other), _version(str(other)), "gold")) == n
    assert gone not in [os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()]


def _descriptors() -> list[str]:
    folder = "/proc/self/fd"
    return [fd for fd in os.listdir(folder) if os.path.lexists(f"{folder}/{fd}")]


@pytest.mark.parametrize(("memory_mb", "least", "most"), [(1, 16, 64), (1024, 200, 256)])
def test_connections_are_bounded_in_bytes_and_in_number(
    tmp_path: Path, memory_mb: int, least: int, most: int
) -> None:
    path = str(write_database(tmp_path / "t.sqlite", SMALL.format(n=1)))
    connections = Connections(Limits(memory_mb=memory_mb))
    before = _open(Path(path))
    for role in range(400):
        assert _first(connections.get(path, _version(path), str(role))) == 1
        assert _open(Path(path)) - before <= most if role % 50 == 49 else True
    assert least <= _open(Path(path)) - before <= most


def test_a_file_that_was_replaced_while_its_task_waited_is_nobodys_fault(tmp_path: Path) -> None:
    path = write_database(tmp_path / "t.sqlite", SMALL.format(n=1))
    asked = _version(path)
    write_database(tmp_path / "new.sqlite", SMALL.format(n=2)).rename(path)
    with pytest.raises(Failure, match="replaced") as raised:
        Connections(Limits()).get(str(path), asked, "gold")
    assert raised.value.status == "infra_error"


def test_a_file_that_is_gone_is_our_failure(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="gone") as raised:
        Connections(Limits()).get(str(tmp_path / "none.sqlite"), "1", "gold")
    assert raised.value.status == "infra_error"


# -- large files, in a worker --------------------------------------------------------------------


@pytest.fixture
def tight(tmp_path: Path, large: Path) -> Iterator[Arena]:
    """Workers with little memory, and the large file as a database of its own."""
    copy = tmp_path / "data" / "large" / "large.sqlite"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(large.read_bytes())
    limits = Limits(query_timeout_s=20, gold_timeout_s=20, memory_mb=96)
    with Arena(tmp_path, limits=limits) as ready:
        yield ready


def test_a_large_file_is_mapped_and_read_within_little_memory(tight: Arena, large: Path) -> None:
    assert large.stat().st_size > 20 * 2**20
    sort = "SELECT b FROM t ORDER BY b DESC LIMIT 3"
    report = tight.verify(SCAN, SAME, SCAN.replace("count(*)", "7"), db_id="large")
    assert [v.status for v in report.verdicts] == ["match", "mismatch"]
    sorted_ = tight.verify(sort, "SELECT max(b) FROM t", sort.lower(), db_id="large")
    assert [v.status for v in sorted_.verdicts] == ["mismatch", "match"]
    assert any("large.sqlite" in _maps(pid) for pid in tight.executor.pids())
    tight.check_honest()


def test_a_mapping_gives_no_memory_to_a_statement(tight: Arena) -> None:
    hungry = "SELECT group_concat(b) FROM t, (SELECT 1 UNION ALL SELECT 2)"
    sorting = "SELECT a.b || b.b FROM t AS a, t AS b ORDER BY 1 LIMIT 1 OFFSET 1000000"
    report = tight.verify(SCAN, hungry, sorting, SAME, db_id="large", timeout_s=5.0)
    hungry_one, sorted_, right = report.verdicts
    assert (hungry_one.status, hungry_one.reward) in (("too_large", 0.0), ("mismatch", 0.0))
    assert sorted_.status in {"too_large", "timeout", "exec_error", "mismatch"}
    assert right.status == "match"


def _maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize("kept_bytes", [4096 * 100, 8192 * 64 + 13, 0])
def test_a_mapped_file_that_shrinks_is_not_held_against_a_prediction(
    tight: Arena, kept_bytes: int
) -> None:
    path = tight.data / "large" / "large.sqlite"
    assert tight.verify(SCAN, SAME, db_id="large").verdicts[0].status == "match"
    os.truncate(path, kept_bytes)
    try:
        answer: VerifyReport | None = tight.verify(SCAN, SAME, f"{SAME} + 0", db_id="large")
    except DatabaseUnusable:
        answer = None
    for verdict in answer.verdicts if answer else []:
        assert (verdict.status, verdict.reward) == ("infra_error", None)
    tight.check_honest()


def test_a_mapped_file_that_shrinks_under_a_statement_is_not_held_against_it(tight: Arena) -> None:
    path = tight.data / "large" / "large.sqlite"
    scan = "SELECT sum(length(x.b) + length(y.b)) FROM t AS x JOIN t AS y ON x.a <> y.a"
    report = tight.run(tight.during("large", scan, lambda: os.truncate(path, 8192)))
    assert report.verdicts[0].status == "infra_error"
    assert (report.verdicts[0].reward, report.verdicts[0].masked) == (None, True)
    tight.check_honest()


def test_a_large_file_that_is_replaced_is_mapped_anew(tight: Arena) -> None:
    path = tight.data / "large" / "large.sqlite"
    assert tight.verify(SCAN, SAME, db_id="large").verdicts[0].status == "match"
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("UPDATE t SET b = 'one' WHERE a = 1")
    new.rename(path)
    report = tight.verify("SELECT b FROM t WHERE a = 1", "SELECT 'one'", db_id="large")
    assert report.verdicts[0].status == "match"
