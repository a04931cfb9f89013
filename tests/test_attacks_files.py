"""Database files that are damaged, swapped, truncated, growing, not files at all, or malicious."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.errors import DatabaseUnusable, UnknownDatabase
from service.text2sql.types import VerifyReport
from tests.arena import Arena, write_database
from tests.conftest import SHOP
from tests.sandbox_watch import workers

COUNT = "SELECT count(*), sum(length(name)) FROM customer"
EVERYTHING = "SELECT * FROM customer, orders, filler"
FILLER = """
CREATE TABLE filler (a INTEGER PRIMARY KEY, b TEXT);
INSERT INTO filler WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000)
    SELECT x, printf('%.*c', 100, 'f') FROM n;
"""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """`shop` stays honest; each test puts a `victim` beside it."""
    with Arena(tmp_path_factory.mktemp("files")) as ready:
        yield ready


@pytest.fixture
def victim(arena: Arena) -> Iterator[Path]:
    path = write_database(arena.data / "victim" / "victim.sqlite", SHOP + FILLER)
    arena.rescan()
    yield path
    shutil.rmtree(path.parent)
    arena.rescan()
    # A worker keeps its last databases open; new ones have none.
    arena.restart()


def _judge(arena: Arena, *predictions: str, gold: str = COUNT) -> VerifyReport | str:
    """The report on the victim, or why there is none; an honest request must work afterwards."""
    try:
        return arena.verify(gold, *predictions, db_id="victim", timeout_s=2.0)
    except (DatabaseUnusable, UnknownDatabase) as error:
        return error.message
    finally:
        arena.check_honest()


def _is_not_blamed(answer: VerifyReport | str) -> bool:
    """Nobody is told that a right prediction is wrong."""
    if isinstance(answer, str):
        return True
    return all(v.status in {"match", "infra_error"} for v in answer.verdicts)


def _overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def _page_size(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[16:18], "big")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no header": lambda path: _overwrite(path, 0, b"\0" * 100),
    "text instead of a header": lambda path: _overwrite(path, 0, b"PRAGMA lazy;\n" * 8),
    "page size of zero": lambda path: _overwrite(path, 16, b"\0\0"),
    "another version": lambda path: _overwrite(path, 18, b"\x09\x09"),
    "broken schema page": lambda path: _overwrite(path, 100, os.urandom(900)),
    "broken schema text": lambda path: path.write_bytes(
        path.read_bytes().replace(b"CREATE TABLE customer", b"CREATE TABEL customer")
    ),
    "pages of ones": lambda path: _overwrite(path, _page_size(path), b"\xff" * 20_000),
    "pages of zeros": lambda path: _overwrite(path, _page_size(path), b"\0" * 20_000),
    "swapped pages": lambda path: _overwrite(
        path, _page_size(path), path.read_bytes()[: _page_size(path)] * 3
    ),
    "half of it": lambda path: os.truncate(path, path.stat().st_size // 2),
    "one page": lambda path: os.truncate(path, _page_size(path)),
    "half a page": lambda path: os.truncate(path, 2000),
    "the header alone": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "longer, by what is no page": lambda path: _overwrite(path, path.stat().st_size, b"x" * 999),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("known", [False, True], ids=["before", "while served"])
def test_a_damaged_file_is_nobodys_fault(
    arena: Arena, victim: Path, damage: str, known: bool
) -> None:
    if known:
        assert _is_not_blamed(_judge(arena, COUNT))
    DAMAGE[damage](victim)
    with arena.watch():
        assert _is_not_blamed(_judge(arena, COUNT))
        assert _is_not_blamed(_judge(arena, EVERYTHING, gold=EVERYTHING))


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_crashes_no_worker(arena: Arena, victim: Path, seed: int) -> None:
    content = bytearray(victim.read_bytes())
    for n in range(200):
        content[100 + (seed * 7919 + n * n * 104_729) % (len(content) - 100)] ^= 1 << n % 8
    victim.write_bytes(content)
    before = workers()
    with arena.watch():
        _judge(arena, COUNT, EVERYTHING, "SELECT * FROM filler ORDER BY b", gold="SELECT 1")
    assert [worker.pid for worker in workers()] == [worker.pid for worker in before]


def test_a_missing_file_is_named(arena: Arena, victim: Path) -> None:
    victim.unlink()
    with arena.watch():
        assert "'victim' cannot be read" in str(_judge(arena, COUNT))


def test_a_folder_in_the_place_of_a_file_is_named(arena: Arena, victim: Path) -> None:
    victim.unlink()
    victim.mkdir()
    with arena.watch():
        assert "'victim'" in str(_judge(arena, COUNT))


@pytest.mark.parametrize("known", [False, True])
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(
    arena: Arena, victim: Path, known: bool
) -> None:
    if known:
        assert _is_not_blamed(_judge(arena, COUNT))
    victim.unlink()
    os.mkfifo(victim)
    with arena.watch(deleted_databases=known):
        assert "'victim' is not a file" in str(_judge(arena, COUNT))
        result = arena.run(arena.executor.query(victim, COUNT, timeout_s=1, max_rows=1))
        assert result.status == "infra_error"


def test_a_device_in_the_place_of_a_file_is_refused(arena: Arena, victim: Path) -> None:
    victim.unlink()
    victim.symlink_to("/dev/zero")
    with arena.watch():
        assert "'victim' is not a file" in str(_judge(arena, COUNT))


def test_a_file_that_is_replaced_is_read_anew(arena: Arena, victim: Path) -> None:
    assert _is_not_blamed(_judge(arena, COUNT))
    for city in ("Oslo", "Bern", "Rom"):
        other = write_database(victim.with_suffix(".new"), SHOP.replace("Rome", city))
        other.replace(victim)
        gold = f"SELECT name FROM customer WHERE city = '{city}'"
        report = arena.verify(gold, "SELECT 'Bob' UNION SELECT 'Dan'", db_id="victim")
        assert report.verdicts[0].status == "match"


def test_a_file_that_grows_between_two_requests_is_read_anew(arena: Arena, victim: Path) -> None:
    for total in range(5, 9):
        with closing(sqlite3.connect(victim)) as connection:
            connection.execute("INSERT INTO customer (name) VALUES ('x')")
            connection.commit()
        report = arena.verify("SELECT count(*) FROM customer", f"SELECT {total}", db_id="victim")
        assert report.verdicts[0].status == "match"


def test_a_file_that_shrinks_and_grows_under_a_running_query_crashes_nobody(
    arena: Arena, victim: Path
) -> None:
    whole = victim.read_bytes()
    slow = "SELECT count(*) FROM filler a, filler b WHERE a.b || b.a = 'x'"
    report = arena.run(arena.during("victim", slow, lambda: os.truncate(victim, 4096)))
    assert _is_not_blamed(report) or report.verdicts[0].status in {"mismatch", "timeout"}
    victim.write_bytes(whole)
    report = arena.run(arena.during("victim", slow, lambda: victim.write_bytes(whole * 2)))
    assert _is_not_blamed(report) or report.verdicts[0].status in {"mismatch", "timeout"}
    victim.write_bytes(whole)
    assert _is_not_blamed(_judge(arena, COUNT))


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_unfinished_changes_beside_a_file_are_named(
    arena: Arena, victim: Path, suffix: str
) -> None:
    assert _is_not_blamed(_judge(arena, COUNT))
    victim.with_name(victim.name + suffix).write_bytes(os.urandom(4096))
    with arena.watch():
        assert "unfinished changes" in str(_judge(arena, COUNT))


def test_linked_files_and_folders_are_not_registered(arena: Arena, victim: Path) -> None:
    for name, target in (("linked", victim), ("secret", Path("/etc/passwd"))):
        (arena.data / name).mkdir()
        (arena.data / name / f"{name}.sqlite").symlink_to(target)
    (arena.data / "folder").symlink_to(victim.parent, target_is_directory=True)
    arena.rescan()
    try:
        for db_id in ("linked", "secret", "folder"):
            with pytest.raises(UnknownDatabase):
                arena.verify(COUNT, COUNT, db_id=db_id)
    finally:
        for name in ("linked", "secret"):
            shutil.rmtree(arena.data / name)
        (arena.data / "folder").unlink()
        arena.rescan()


@pytest.mark.parametrize("name", ["sp ace", "100%", "a?b=c", "h#sh", "quo'te", "ünïcode", "💥"])
def test_names_that_look_like_parts_of_an_address_are_names(arena: Arena, name: str) -> None:
    path = write_database(arena.data / name / f"{name}.sqlite", SHOP)
    arena.rescan()
    report = arena.verify(COUNT, COUNT, db_id=name)
    shutil.rmtree(path.parent)
    arena.rescan()
    arena.restart()
    assert report.verdicts[0].status == "match"


def test_a_name_that_is_not_utf8_can_be_read(arena: Arena) -> None:
    path = write_database(arena.data / "tmp" / "x.sqlite", SHOP)
    odd = Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff.db"))
    path.rename(odd)
    result = arena.run(arena.executor.query(odd, COUNT, timeout_s=5, max_rows=1))
    shutil.rmtree(path.parent)
    arena.restart()
    assert (result.status, result.rows) == ("ok", [[4, 13]])


MALICIOUS = """
CREATE VIEW forever AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c)
    SELECT count(*) AS n FROM c;
CREATE VIEW huge AS SELECT zeroblob(1000000000) AS b;
CREATE VIEW code AS SELECT load_extension('x') AS c;
CREATE VIEW tokens AS SELECT fts3_tokenizer('simple') AS t;
CREATE TRIGGER on_view INSTEAD OF INSERT ON forever BEGIN DELETE FROM customer; END;
CREATE TRIGGER on_customer AFTER UPDATE ON customer BEGIN DELETE FROM orders; END;
CREATE TABLE checked (a INTEGER CHECK (a < abs(-9223372036854775807)), b DEFAULT (random()),
    c AS (hex(zeroblob(10000000))) VIRTUAL, d AS (a * 2) STORED);
INSERT INTO checked (a) VALUES (1);
CREATE INDEX odd ON checked (length(hex(a)));
"""


def test_a_malicious_schema_costs_its_own_queries_only(arena: Arena, victim: Path) -> None:
    with closing(sqlite3.connect(victim)) as connection:
        connection.executescript(MALICIOUS)
    expected = {
        "SELECT n FROM forever": "timeout",
        "SELECT length(b) FROM huge": "too_large",
        "SELECT * FROM code": "forbidden",
        "SELECT * FROM tokens": "forbidden",
        "INSERT INTO forever VALUES (1)": "forbidden",
        "UPDATE customer SET name = 1": "forbidden",
        "SELECT c FROM checked": "too_large",
        "SELECT a, d FROM checked": "mismatch",
        COUNT: "match",
    }
    with arena.watch():
        report = arena.verify(COUNT, *expected, db_id="victim", timeout_s=1.5)
        arena.check_honest()
    found = dict(zip(expected, (verdict.status for verdict in report.verdicts), strict=True))
    assert found == expected


@pytest.mark.parametrize("depth", [100, 3000])
def test_views_over_views_end_as_a_status(arena: Arena, victim: Path, depth: int) -> None:
    links = "".join(f"CREATE VIEW v{n} AS SELECT * FROM v{n - 1};" for n in range(1, depth))
    with closing(sqlite3.connect(victim)) as connection:
        connection.executescript(
            f"BEGIN; CREATE VIEW v0 AS SELECT name FROM customer; {links} COMMIT"
        )
    with arena.watch():
        report = arena.verify(COUNT, f"SELECT * FROM v{depth - 1}", db_id="victim", timeout_s=1.0)
        arena.check_honest()
    assert report.verdicts[0].status in {"mismatch", "exec_error", "timeout", "too_large"}


def test_a_view_of_itself_is_an_error(arena: Arena, victim: Path) -> None:
    with closing(sqlite3.connect(victim)) as connection:
        connection.executescript(
            "CREATE VIEW a AS SELECT * FROM b; CREATE VIEW b AS SELECT * FROM a;"
        )
    report = arena.verify(COUNT, "SELECT * FROM a", db_id="victim")
    assert report.verdicts[0].status == "exec_error"


def test_names_and_values_that_are_not_utf8_are_no_crash(arena: Arena, victim: Path) -> None:
    with closing(sqlite3.connect(victim)) as connection:
        connection.executescript(
            "CREATE TABLE odd (abcdefgh TEXT); INSERT INTO odd VALUES (x'ff');"
        )
    victim.write_bytes(victim.read_bytes().replace(b"abcdefgh", b"\xff\xfecdefgh"))
    with arena.watch():
        report = arena.verify(
            COUNT, "SELECT * FROM odd", "SELECT CAST(o.rowid AS TEXT) FROM odd o", db_id="victim"
        )
        arena.check_honest()
    assert {v.status for v in report.verdicts} <= {"exec_error", "mismatch"}


VIRTUAL = """
CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('one two');
CREATE VIRTUAL TABLE old USING fts4(word); INSERT INTO old VALUES ('one two');
CREATE VIRTUAL TABLE boxes USING rtree(i, a, b); INSERT INTO boxes VALUES (1, 2, 3);
CREATE TABLE counted (i INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO counted VALUES (7);
"""


def test_virtual_tables_are_read_and_never_written(arena: Arena, victim: Path) -> None:
    with closing(sqlite3.connect(victim)) as connection:
        connection.executescript(VIRTUAL)
    expected = {
        "SELECT word FROM words WHERE words MATCH 'one'": "mismatch",
        "SELECT words, rank FROM words": "mismatch",
        "SELECT highlight(words, 0, '<', '>') FROM words": "mismatch",
        "SELECT id, hex(block) FROM words_data": "mismatch",
        "SELECT word FROM words WHERE words MATCH '\"'": "exec_error",
        "SELECT snippet(old) FROM old WHERE old MATCH 'one'": "mismatch",
        "SELECT optimize(old) FROM old": "forbidden",
        "SELECT seq FROM sqlite_sequence": "mismatch",
        "SELECT nodeno, hex(data) FROM boxes_node": "mismatch",
        "SELECT * FROM boxes": "forbidden",
        "INSERT INTO words (words) VALUES ('optimize')": "forbidden",
        "INSERT INTO words (words, rank) VALUES ('rank', 'bm25(10)')": "forbidden",
        "INSERT INTO old (old) VALUES ('rebuild')": "forbidden",
        "DELETE FROM words_data": "forbidden",
        "UPDATE sqlite_sequence SET seq = 1": "forbidden",
        "DROP TABLE words": "forbidden",
        "INSERT INTO boxes VALUES (2, 3, 4)": "forbidden",
    }
    with arena.watch():
        report = arena.verify(COUNT, *expected, db_id="victim", timeout_s=2.0)
        arena.check_honest()
    found = dict(zip(expected, (verdict.status for verdict in report.verdicts), strict=True))
    assert found == expected
