"""Copies keep the schema, keep keys valid, are the same each time, and leave the source alone."""

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from service.errors import DatabaseUnusable, Unavailable
from service.sandbox.copies.build import sample
from service.text2sql.copies import Copies, left_out
from service.text2sql.databases import Database
from service.text2sql.types import Robust
from tests.copies import SHOP, copies, database, rows

ODD = """
CREATE TABLE boss(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE, under INT NOT NULL
    REFERENCES boss(id));
INSERT INTO boss VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 2);
CREATE TABLE hen(id INTEGER PRIMARY KEY AUTOINCREMENT, egg INT REFERENCES egg(id));
CREATE TABLE egg(id INTEGER PRIMARY KEY, hen INT NOT NULL REFERENCES hen(id));
INSERT INTO hen VALUES (1, 1), (2, NULL); INSERT INTO egg VALUES (1, 2), (2, 1);
CREATE TABLE priced(sku TEXT PRIMARY KEY, net REAL CHECK (net > 0), units INT NOT NULL CHECK (
    units BETWEEN 1 AND 3), gross REAL AS (net * 1.2) STORED, twice INT AS (units * 2))
    WITHOUT ROWID;
INSERT INTO priced(sku, net, units) VALUES ('x-1', 1.5, 1), ('x-2', 2.5, 3);
CREATE TABLE pair(l INT, r INT, note TEXT, PRIMARY KEY (l, r), UNIQUE (note));
INSERT INTO pair VALUES (1, 1, 'n'), (1, 2, 'm'), (2, 1, NULL);
CREATE TABLE "we""ird ' name"("a b" TEXT, "select" BLOB, "x]y" INT, "ünï" TEXT, rowid TEXT);
INSERT INTO "we""ird ' name" VALUES ('t', x'00ff', 1, CAST(x'ff41' AS TEXT), 'r'),
    (NULL, NULL, NULL, NULL, NULL), ('t', x'00ff', 1, 'é', 'r');
CREATE TABLE vacant(id INTEGER PRIMARY KEY, at DATETIME, flag BOOLEAN, amount NUMERIC, b BLOB);
CREATE TABLE mixed(v); INSERT INTO mixed VALUES (1), ('one'), (1.5), (x'01'), (NULL);
CREATE TABLE strictly(a INT, b TEXT NOT NULL) STRICT; INSERT INTO strictly VALUES (1, 'x');
CREATE VIEW cheap AS SELECT sku, gross FROM priced WHERE gross < 2;
CREATE INDEX by_under ON boss(under, name DESC);
CREATE UNIQUE INDEX by_note ON pair(l, note) WHERE note <> 'zz';
CREATE TRIGGER watch AFTER INSERT ON mixed BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('hello');
"""
SCHEMA = (
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger' "
    "AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'words%' ORDER BY type, name"
)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    return database(tmp_path / "odd.sqlite", ODD)


def test_tables_views_and_indexes_are_kept_as_they_are(tmp_path: Path, odd: Path) -> None:
    for path in copies(tmp_path / "c", odd):
        assert rows(path, SCHEMA) == rows(odd, SCHEMA)


def test_what_cannot_be_copied_is_named(tmp_path: Path, odd: Path) -> None:
    named = left_out(copies(tmp_path / "c", odd, 1))
    assert {"watch", "words"} <= set(named)
    assert "priced" not in named


def test_every_copy_keeps_its_constraints(tmp_path: Path, odd: Path) -> None:
    for path in copies(tmp_path / "c", odd, 12):
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        assert rows(path, "PRAGMA foreign_key_check") == []
        assert rows(path, "SELECT * FROM pair WHERE l IS NULL OR r IS NULL") == []


def test_tables_with_rows_keep_some_and_tables_without_get_some(tmp_path: Path, odd: Path) -> None:
    path, *_ = copies(tmp_path / "c", odd)
    for table in ("boss", "hen", "egg", "priced", "pair", "vacant", "mixed", "strictly"):
        assert rows(path, f"SELECT count(*) FROM {table}")[0][0] > 0, table


def test_copies_differ_in_kind(tmp_path: Path) -> None:
    paths = copies(tmp_path / "c", database(tmp_path / "shop.sqlite", SHOP))
    counts = [rows(path, 'SELECT count(*) FROM "order"')[0][0] for path in paths]
    nulls = [rows(path, "SELECT count(*) FROM customer WHERE city IS NULL")[0][0] for path in paths]
    ages = [rows(path, "SELECT count(DISTINCT age) FROM customer")[0][0] for path in paths]
    assert counts[7] == 0
    assert nulls[0] == 0
    assert nulls[3] > 0
    assert ages[2] <= 3 < ages[4]


def test_joins_are_not_empty_in_any_copy_with_rows(tmp_path: Path) -> None:
    for path in copies(tmp_path / "c", database(tmp_path / "shop.sqlite", SHOP))[:7]:
        joined = 'SELECT count(*) FROM "order" o JOIN customer c ON o.customer_id = c.id'
        assert rows(path, joined)[0][0] > 0


UNDECLARED = """
CREATE TABLE artist(artist_id INT, name TEXT);
CREATE TABLE song(song_id INT, artist_id INT, plays INT);
INSERT INTO artist VALUES (1, 'x'), (2, 'y'), (3, 'x');
INSERT INTO song VALUES (10, 1, 5), (11, 1, 5), (12, 3, 7), (13, 2, 5);
"""


def test_undeclared_keys_and_links_hold_in_copies_too(tmp_path: Path) -> None:
    for path in copies(tmp_path / "c", database(tmp_path / "music.sqlite", UNDECLARED), 10):
        twice = "SELECT 1 FROM artist GROUP BY artist_id HAVING count(*) > 1"
        assert rows(path, twice) == []
        lost = "SELECT * FROM song WHERE artist_id NOT IN (SELECT artist_id FROM artist)"
        assert rows(path, lost) == []
        assert rows(path, "SELECT * FROM artist WHERE artist_id IS NULL") == []


def _digests(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    tmp_path: Path, odd: Path
) -> None:
    for name, seed, hashing in (("a", 0, "1"), ("b", 0, "2"), ("c", 1, "1")):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-m", "service.sandbox.copies.build", str(odd)]
        given = [str(tmp_path / name), str(seed), "8", "512"]
        environment = {**os.environ, "PYTHONHASHSEED": hashing}
        subprocess.run([*command, *given], check=True, env=environment)
    assert len(_digests(tmp_path / "a")) == 9
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    assert _digests(tmp_path / "a")[0] != _digests(tmp_path / "c")[0]


def test_a_database_without_tables_has_copies_without_tables(tmp_path: Path) -> None:
    source = database(tmp_path / "none.sqlite", "CREATE TABLE t(a); DROP TABLE t;")
    for path in copies(tmp_path / "c", source):
        assert rows(path, "SELECT count(*) FROM sqlite_master") == [(0,)]


def test_of_a_large_database_a_part_is_read_and_parents_follow(tmp_path: Path) -> None:
    source = database(
        tmp_path / "large.sqlite",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT);"
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p(id), w TEXT);"
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 60000)"
        " INSERT INTO p SELECT x, hex(randomblob(50)) FROM n;"
        "INSERT INTO c SELECT id, 1 + (id * 7919) % 60000, v FROM p;",
    )
    start = time.perf_counter()
    paths = copies(tmp_path / "c", source)
    assert time.perf_counter() - start < 20
    assert rows(paths[0], "SELECT count(*) FROM c JOIN p ON c.p = p.id")[0][0] > 20
    assert max(path.stat().st_size for path in paths) < 200_000


def test_declared_links_that_no_row_keeps_are_kept_in_copies(tmp_path: Path) -> None:
    source = database(
        tmp_path / "broken.sqlite",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT);"
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p INT NOT NULL REFERENCES p(id));"
        "INSERT INTO c VALUES (1, 7), (2, 8), (3, 7);",
    )
    path = copies(tmp_path / "c", source)[1]
    assert rows(path, "PRAGMA foreign_key_check") == []
    assert rows(path, "SELECT count(*) FROM c")[0][0] > 0


def test_a_key_that_names_no_column_of_its_parent_is_no_obstacle(tmp_path: Path) -> None:
    source = database(
        tmp_path / "mismatch.sqlite",
        "CREATE TABLE p(id INT, v TEXT); CREATE TABLE c(p INT REFERENCES p(nowhere), q INT"
        " REFERENCES missing(id), r INT REFERENCES p(id));"
        "INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (1, 1, 1), (2, 2, 2);",
    )
    assert rows(copies(tmp_path / "c", source)[0], "SELECT count(*) FROM c")[0][0] > 0


# -- the parent's side ---------------------------------------------------------------------------


def _get(store: Copies, path: Path, robust: Robust | None = None) -> list[Path]:
    return asyncio.run(store.get(Database(path.stem, path), "sha", robust or Robust(3, 0)))


def test_copies_are_built_once_and_kept(tmp_path: Path) -> None:
    source = database(tmp_path / "shop.sqlite", SHOP)
    before = source.read_bytes()
    first = _get(Copies(tmp_path / "kept"), source)
    stamp = [path.stat().st_mtime_ns for path in first]
    assert _get(Copies(tmp_path / "kept"), source) == first
    assert [path.stat().st_mtime_ns for path in first] == stamp
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "shop.sqlite"]
    assert sorted(path.name for path in first[0].parent.iterdir()) == [
        "0.sqlite",
        "1.sqlite",
        "2.sqlite",
        "manifest.json",
    ]


def test_requests_for_the_same_copies_share_a_builder_and_services_may_race(tmp_path: Path) -> None:
    source = database(tmp_path / "shop.sqlite", SHOP)
    one, other = Copies(tmp_path / "kept"), Copies(tmp_path / "kept")
    shop = Database("shop", source)

    async def race() -> list[list[Path]]:
        asked = [store.get(shop, "sha", Robust(2, 0)) for store in (one, one, other, one, other)]
        return await asyncio.gather(*asked)

    found = asyncio.run(race())
    assert all(paths == found[0] for paths in found)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [found[0][0].parent.name]


def test_a_caller_that_goes_away_does_not_stop_the_builder_for_the_others(tmp_path: Path) -> None:
    source = database(tmp_path / "shop.sqlite", SHOP)
    store = Copies(tmp_path / "kept")

    async def leave() -> list[Path]:
        first = asyncio.create_task(store.get(Database("shop", source), "sha", Robust(2, 0)))
        second = asyncio.create_task(store.get(Database("shop", source), "sha", Robust(2, 0)))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert all(path.exists() for path in asyncio.run(leave()))


@pytest.mark.parametrize("damage", ["truncated", "garbage", "no sqlite", "missing"])
def test_a_damaged_file_is_an_error_and_leaves_nothing_behind(tmp_path: Path, damage: str) -> None:
    source = database(tmp_path / "bad.sqlite", SHOP)
    whole = source.read_bytes()
    if damage == "truncated":
        source.write_bytes(whole[:4096])
    elif damage == "garbage":
        source.write_bytes(whole[:100] + os.urandom(len(whole) - 100))
    elif damage == "no sqlite":
        source.write_bytes(b"hello" * 1000)
    else:
        source.unlink()
    with pytest.raises(DatabaseUnusable) as caught:
        _get(Copies(tmp_path / "kept"), source)
    assert "Traceback" not in caught.value.message
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_builder_that_takes_too_long_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    source = database(tmp_path / "shop.sqlite", SHOP)
    with pytest.raises(Unavailable) as caught:
        _get(Copies(tmp_path / "kept", timeout_s=0.0), source)
    assert caught.value.retry_after_s
    assert list((tmp_path / "kept").iterdir()) == []


def test_values_of_any_length_cost_little_memory(tmp_path: Path) -> None:
    source = database(
        tmp_path / "fat.sqlite",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB, w TEXT);"
        "INSERT INTO t VALUES (1, 'small', 'w'), (2, zeroblob(150000000), 'w'), (3, 'c', 'w');",
    )
    paths = _get(Copies(tmp_path / "kept", memory_mb=256), source)
    assert rows(paths[0], "SELECT count(*) FROM t")[0][0] > 0
    assert paths[0].stat().st_size < 100_000


def test_the_least_recently_used_copies_leave_first(tmp_path: Path) -> None:
    source = database(tmp_path / "shop.sqlite", SHOP)
    store = Copies(tmp_path / "kept", max_bytes=100_000)
    folders = []
    for seed in range(4):
        folders.append(_get(store, source, Robust(3, seed))[0].parent)
        os.utime(folders[-1], (seed, seed))
    assert folders[-1].exists()
    assert not folders[0].exists()
    kept = sum(f.stat().st_size for folder in folders if folder.exists() for f in folder.iterdir())
    assert kept <= 100_000


def test_what_a_killed_service_left_half_built_is_removed_later(tmp_path: Path) -> None:
    left = tmp_path / "kept" / "building-x"
    left.mkdir(parents=True)
    (left / "0.sqlite").write_bytes(b"half")
    os.utime(left, (1, 1))
    fresh = tmp_path / "kept" / "building-y"
    fresh.mkdir()
    _get(Copies(tmp_path / "kept"), database(tmp_path / "shop.sqlite", SHOP))
    assert (left.exists(), fresh.exists()) == (False, True)


def test_hostile_schemas_do_no_harm(tmp_path: Path) -> None:
    source = tmp_path / "hostile.sqlite"
    with closing(sqlite3.connect(source)) as db:
        db.execute("CREATE TABLE t(a INT)")
        db.execute("INSERT INTO t VALUES (1), (2)")
        db.execute("PRAGMA writable_schema = ON")
        for name, sql in (
            ("v", "CREATE VIEW v AS SELECT load_extension('x') FROM t"),
            ("w", "ATTACH DATABASE '/tmp/never' AS never"),
            ("x", "CREATE TABLE x(a, b DEFAULT (randomblob(1000000000)))"),
        ):
            kind = "view" if name == "v" else "table"
            db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, 0, ?)", (kind, name, name, sql))
        db.commit()
    folder = tmp_path / "c"
    try:
        copies(folder, source)
    except sqlite3.Error:
        return
    assert not Path("/tmp/never").exists()


def test_a_sample_says_what_it_read(odd: Path) -> None:
    sampled = sample(str(odd), Random(0))
    assert len(sampled.rows["boss"]) == 3
    assert [column.name for column in sampled.schema.tables[0].columns] == ["id", "name", "under"]
