"""What is in another dataset too: by name, by bytes, by tables, by question, by gold."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from service.audit.places import Chain, beside
from tests.conftest import SHOP
from tests.fixtures_audit import Row, kinds, run, subject

GOLD = "SELECT count(*) FROM customer"


def _row(db_id: str, question: str, sql: str) -> Row:
    return {"db_id": db_id, "question": question, "SQL": sql}


def _database(folder: Path, db_id: str, script: str = SHOP) -> None:
    path = folder / db_id / f"{db_id}.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def _copy(folder: Path, db_id: str, name: str) -> None:
    (folder / name).mkdir()
    shutil.copy(folder / db_id / f"{db_id}.sqlite", folder / name / f"{name}.sqlite")


def test_a_database_is_known_by_name_by_bytes_and_by_its_tables(tmp_path: Path) -> None:
    _database(tmp_path, "shop")
    _copy(tmp_path, "shop", "same_bytes")
    _database(tmp_path, "same_tables", SHOP + "DELETE FROM orders WHERE id = 4;")
    _database(
        tmp_path, "other", "CREATE TABLE customer (id, name); INSERT INTO customer VALUES (1, 2)"
    )
    names = ("shop", "same_bytes", "same_tables", "other")
    audited = subject(
        [_row(n, f"q {n}", f"{GOLD} WHERE id = {k + 1}") for k, n in enumerate(names)], tmp_path
    )
    done = run(
        audited, subject([_row("shop", "else", "SELECT name FROM customer")], tmp_path, "dev")
    )
    leaked = {f.row: f.evidence for f in done.findings if f.kind == "leaked_database"}
    assert leaked == {
        0: "in dev: database shop",
        1: "in dev: the same file as shop",
        2: "in dev: the same tables and columns as shop",
    }


def test_a_question_is_known_by_its_words_and_by_its_gold(tmp_path: Path) -> None:
    _database(tmp_path, "shop")
    _copy(tmp_path, "shop", "twin")
    _database(tmp_path, "other", SHOP + "CREATE TABLE more (a);")
    audited = subject(
        [
            _row("other", "How many CUSTOMERS", f"{GOLD} WHERE id > 0"),
            _row("twin", "Count them", f"{GOLD};"),
            _row("other", "Count these", GOLD),
        ],
        tmp_path,
    )
    dev = subject([_row("shop", "How many customers?", GOLD)], tmp_path, "dev")
    leaked = {f.row: f.evidence for f in run(audited, dev).findings if f.kind == "leaked_question"}
    assert leaked == {
        0: "in dev: same question as question 0, on database shop",
        1: "in dev: same gold as question 0, on database shop",
    }


def test_two_datasets_may_have_other_databases_of_one_name(tmp_path: Path) -> None:
    for folder, script in (("train", SHOP), ("dev", SHOP + "CREATE TABLE more (a);")):
        _database(tmp_path / folder, "shop", script)
    train = subject([_row("shop", "a", GOLD)], tmp_path / "train")
    dev = subject([_row("shop", "b", "SELECT a FROM more")], tmp_path / "dev", "dev")
    assert kinds(run(train, dev)) == {0: ["leaked_database"]}


def test_databases_beside_a_file_are_found_in_the_published_layouts(
    tmp_path: Path, shop: Path
) -> None:
    for place in ("dev_databases/a", "database/b", "c", "dev_databases/dev_databases/d", "x/y/z/e"):
        path = tmp_path / "set" / place
        path.mkdir(parents=True)
        shutil.copy(shop, path / f"{path.name}.sqlite")
    (tmp_path / "set" / "link").symlink_to(shop.parents[1])
    found = beside(tmp_path / "set" / "dev.json", {"a", "b", "c", "d", "e", "shop", "../c", "none"})
    assert found.ids() == ["a", "b", "c", "d"]


def test_the_nearest_database_of_a_name_is_taken(
    tmp_path: Path, make_database: Callable[[str, str], Path], shop: Path
) -> None:
    near = tmp_path / "set" / "shop" / "shop.sqlite"
    near.parent.mkdir(parents=True)
    shutil.copy(shop, near)
    far = beside(tmp_path / "data" / "x.json", {"shop"})
    databases = Chain([beside(tmp_path / "set" / "dev.json", {"shop"}), far])
    assert databases.get("shop").path == near
