"""Finding databases: the published layouts, and every file that should be refused."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from service.errors import DatabaseUnusable, SettingsError, UnknownDatabase
from service.text2sql.databases import DatabaseRegistry

Make = Callable[[str, str], Path]


def test_databases_are_found_down_to_four_levels(shop: Path, tmp_path: Path) -> None:
    for place in ("dev_databases/a", "x/y/z/b", "x/y/z/too_deep/c"):
        path = tmp_path / "more" / place / f"{place[-1]}.sqlite"
        path.parent.mkdir(parents=True)
        path.write_bytes(shop.read_bytes())
    registry = DatabaseRegistry.scan([tmp_path / "data", tmp_path / "more"])
    assert registry.ids() == ["a", "b", "shop"]


def test_a_name_that_is_there_twice_is_refused_with_both_places(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "shop" / "shop.sqlite"
    other.parent.mkdir(parents=True)
    other.write_bytes(shop.read_bytes())
    with pytest.raises(SettingsError) as caught:
        DatabaseRegistry.scan([tmp_path / "data", tmp_path / "other"])
    assert str(shop) in caught.value.message
    assert str(other) in caught.value.message


def test_the_same_folder_twice_is_no_conflict(shop: Path, tmp_path: Path) -> None:
    assert DatabaseRegistry.scan([tmp_path / "data", tmp_path / "data"]).ids() == ["shop"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere is not a folder"):
        DatabaseRegistry.scan([tmp_path / "nowhere"])


def test_symbolic_links_are_not_followed(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "linked").mkdir()
    (tmp_path / "data" / "linked" / "linked.sqlite").symlink_to(shop)
    (tmp_path / "data" / "folder").symlink_to(shop.parent)
    assert DatabaseRegistry.scan([tmp_path / "data"]).ids() == ["shop"]


@pytest.mark.parametrize("db_id", ["nope", "../shop/shop", "/etc/passwd", "shop\x00", "", "SHOP"])
def test_an_unknown_name_is_never_a_path(registry: DatabaseRegistry, db_id: str) -> None:
    with pytest.raises(UnknownDatabase):
        registry.get(db_id)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b"not a database at all", "is not an SQLite file")]
)
def test_a_file_of_another_kind_is_unusable(
    registry: DatabaseRegistry, shop: Path, content: bytes, why: str
) -> None:
    shop.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match=why):
        registry.get("shop")


def test_a_file_that_went_away_is_unusable(registry: DatabaseRegistry, shop: Path) -> None:
    shop.unlink()
    with pytest.raises(DatabaseUnusable, match="cannot be read"):
        registry.get("shop")
    assert registry.sizes() == {"shop": None}


def test_unfinished_changes_beside_the_file_are_refused(make_database: Make) -> None:
    path = make_database("wal", "PRAGMA journal_mode=WAL; CREATE TABLE t (a);")
    registry = DatabaseRegistry.scan([path.parents[1]])
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO t VALUES (1)")
    writer.commit()
    with pytest.raises(DatabaseUnusable, match="wal_checkpoint"):
        registry.get("wal")
    writer.close()
    assert registry.get("wal").path == path


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_unfinished_changes_are_noticed_after_the_first_look(
    registry: DatabaseRegistry, shop: Path, suffix: str
) -> None:
    beside = shop.with_name(shop.name + suffix)
    registry.get("shop")
    beside.write_bytes(b"")
    assert registry.get("shop").path == shop
    beside.write_bytes(b"changes")
    with pytest.raises(DatabaseUnusable, match=beside.name):
        registry.get("shop")
    beside.unlink()
    assert registry.get("shop").path == shop


@contextmanager
def _as_an_ordinary_user() -> Iterator[None]:
    root = os.geteuid() == 0  # whom no permission stops
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_cannot_be_read_is_named() -> None:
    # Not below tmp_path, which is closed to other users as a whole.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        closed = Path(name) / "bird" / "closed"
        closed.mkdir(parents=True)
        closed.chmod(0)
        with _as_an_ordinary_user(), pytest.raises(SettingsError) as caught:
            DatabaseRegistry.scan([Path(name)])
        closed.chmod(0o700)
    assert f"{closed} cannot be read (Permission denied)" in caught.value.message


def test_a_folder_with_an_impossible_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="File name too long"):
        DatabaseRegistry.scan([tmp_path / ("x" * 300)])


def test_the_hash_follows_the_file(registry: DatabaseRegistry, shop: Path) -> None:
    before = registry.sha256("shop")
    shop.write_bytes(shop.read_bytes().replace(b"Ada", b"Eva"))
    assert len(before) == 64
    assert registry.sha256("shop") != before
