"""The index of values: made once, kept in a sealed file, made again when the database changes."""

import asyncio
import os
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.errors import NoFreeWorker
from service.sandbox.result import QueryResult
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.schema import Queries
from service.text2sql.values.file import read_index, write_index
from service.text2sql.values.index import ValueIndexes
from service.text2sql.values.store import SUFFIX
from tests.fixtures_values import Asker, ask, sha256, values

TEXT = "orders from rome"
FOUND = ["customer.city=Rome"]


class Watched:
    """A sandbox that counts the queries for values, after doing something before each."""

    def __init__(self, executor: Queries, before: Callable[[int], Any]) -> None:
        self._executor = executor
        self._before = before
        self.count = 0

    async def query(self, database: Path, sql: str, **bounds: Any) -> QueryResult:
        if sql.startswith("SELECT DISTINCT"):
            self.count += 1
            done = self._before(self.count)
            if asyncio.iscoroutine(done):
                await done
        return await self._executor.query(database, sql, **bounds)


def index_of(database: Path) -> Path:
    return database.with_suffix(SUFFIX)


def asked(database: Path, home: Path, folder: Path | None = None) -> tuple[list[str], bool]:
    """What the text names, and whether the index had to be made for it."""
    (found,), report = ask(database, home, [TEXT], folder)
    return values(found), report is not None


def add_city(database: Path, city: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO customer (name, city) VALUES ('Eve', ?)", (city,))
        connection.commit()


def test_the_file_lies_beside_the_database_and_is_used_again(shop: Path, tmp_path: Path) -> None:
    assert asked(shop, tmp_path / "home") == (FOUND, True)
    assert sorted(p.name for p in shop.parent.iterdir()) == ["shop.sqlite", "shop.values-index"]
    assert asked(shop, tmp_path / "home") == (FOUND, False)


def test_the_file_is_never_taken_for_a_database(shop: Path, tmp_path: Path) -> None:
    asked(shop, tmp_path / "home")
    assert DatabaseRegistry.scan([shop.parents[1]]).ids() == ["shop"]
    assert not index_of(shop).read_bytes().startswith(b"SQLite format 3")


def test_a_folder_of_the_settings_takes_the_files(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "indexes of all"
    assert asked(shop, tmp_path / "home", folder) == (FOUND, True)
    assert [p.name for p in folder.iterdir()] == ["shop.values-index"]
    assert not index_of(shop).exists()
    assert asked(shop, tmp_path / "home", folder) == (FOUND, False)


def test_a_changed_database_is_indexed_again(shop: Path, tmp_path: Path) -> None:
    async def run() -> tuple[list[str], list[str]]:
        async with Asker(shop, tmp_path / "home") as asker:
            before = values(await asker.find("orders from oslo"))
            add_city(shop, "Oslo")
            return before, values(await asker.find("orders from oslo"))

    assert asyncio.run(run()) == ([], ["customer.city=Oslo"])
    (found,), report = ask(shop, tmp_path / "home", ["orders from oslo"])
    assert (values(found), report) == (["customer.city=Oslo"], None)


def test_the_file_can_be_read_by_its_owner_alone(shop: Path, tmp_path: Path) -> None:
    asked(shop, tmp_path / "home")
    assert index_of(shop).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home" / "indexes" / "key").stat().st_mode & 0o777 == 0o600


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE form (id, folded)")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _other_key(path: Path) -> None:
    database = path.with_suffix(".sqlite")
    write_index(path, b"k" * 32, sha256(database), b"an image")


@pytest.mark.parametrize("spoil", [_cut, _flip, _empty, _database, _pipe, _link, _other_key])
def test_a_file_that_is_not_as_it_was_written_is_replaced(
    spoil: Callable[[Path], None], shop: Path, tmp_path: Path
) -> None:
    async def run() -> list[tuple[list[str], bool]]:
        found = []
        async with Asker(shop, tmp_path / "home") as asker:
            await asker.find(TEXT)
            spoil(index_of(shop))
            for _ in range(2):
                asker.indexes = ValueIndexes(tmp_path / "home", wait_s=60.0)
                found.append((values(await asker.find(TEXT)), asker.report is not None))
        return found

    assert asyncio.run(run()) == [(FOUND, True), (FOUND, False)]
    assert index_of(shop).is_file()
    assert not index_of(shop).is_symlink()


def test_a_link_is_replaced_and_its_target_left_alone(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    index_of(shop).symlink_to(target)
    assert asked(shop, tmp_path / "home") == (FOUND, True)
    assert target.read_text() == "mine"


def test_an_index_is_of_one_database_under_one_key(tmp_path: Path) -> None:
    path, digest = tmp_path / "a", "ab" * 32
    write_index(path, b"1" * 32, digest, b"image")
    assert read_index(path, b"1" * 32, digest) == b"image"
    assert read_index(path, b"2" * 32, digest) is None
    assert read_index(path, b"1" * 32, "cd" * 32) is None


def test_what_a_killed_writer_left_is_removed(shop: Path, tmp_path: Path) -> None:
    left = [shop.parent / f".shop.values-index-{name}.tmp" for name in ("old", "new")]
    for path in left:
        path.write_text("half")
    os.utime(left[0], (time.time() - 7200,) * 2)
    asked(shop, tmp_path / "home")
    assert [path.exists() for path in left] == [False, True]


def test_a_folder_that_takes_no_file_is_passed_over(shop: Path, tmp_path: Path) -> None:
    (index_of(shop) / "in the way").mkdir(parents=True)
    assert asked(shop, tmp_path / "home") == (FOUND, True)
    assert (tmp_path / "home" / "indexes" / "shop.values-index").is_file()
    assert asked(shop, tmp_path / "home") == (FOUND, False)
    assert [p.name for p in shop.parent.iterdir() if p.name.startswith(".")] == []


def test_without_a_key_the_index_stays_in_memory(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("no folder")
    assert asked(shop, tmp_path / "home") == (FOUND, True)
    assert not index_of(shop).exists()
    assert "value indexes are kept in memory only" in caplog.text


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow over 100 bytes: enough for the key, not for an index."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_index_in_memory_and_no_half_file(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with full_disk():
        found = asked(shop, tmp_path / "home")
    assert found == (FOUND, True)
    assert "the value index is kept in memory only" in caplog.text
    assert [p.name for p in shop.parent.iterdir()] == ["shop.sqlite"]
    assert [p.name for p in (tmp_path / "home" / "indexes").iterdir()] == ["key"]


def test_questions_that_come_together_share_one_build(shop: Path, tmp_path: Path) -> None:
    async def run() -> tuple[list[list[str]], int]:
        async with Asker(shop, tmp_path / "home") as asker:
            asker.executor = watched = Watched(asker.executor, lambda _: None)
            together = await asyncio.gather(*(asker.find(TEXT) for _ in range(5)))
            return [values(found) for found in together], watched.count

    found, queries = asyncio.run(run())
    assert found == [FOUND] * 5
    assert queries == 8  # one for each column


def test_a_question_does_not_wait_long_and_the_build_goes_on(shop: Path, tmp_path: Path) -> None:
    async def run() -> list[list[str]]:
        async with Asker(shop, tmp_path / "home", wait_s=0.01) as asker:
            go = asyncio.Event()
            asker.executor = Watched(asker.executor, lambda _: go.wait())
            found = [values(await asker.find(TEXT))]
            go.set()
            while not found[-1] and len(found) < 3000:
                await asyncio.sleep(0.01)
                found.append(values(await asker.find(TEXT)))
            return [found[0], found[-1]]

    assert asyncio.run(run()) == [[], FOUND]


def test_a_question_that_goes_away_leaves_the_build_to_others(shop: Path, tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with Asker(shop, tmp_path / "home") as asker:
            go, started = asyncio.Event(), asyncio.Event()

            async def gate() -> None:
                started.set()
                await go.wait()

            asker.executor = Watched(asker.executor, lambda _: gate())
            first = asyncio.create_task(asker.find(TEXT))
            await started.wait()
            second = asyncio.create_task(asker.find(TEXT))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            go.set()
            return values(await second)

    assert asyncio.run(run()) == FOUND


def test_a_database_that_is_replaced_during_the_build_gets_no_index(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> list[str]:
        async with Asker(shop, tmp_path / "home") as asker:
            digest = sha256(shop)

            def replace(count: int) -> None:
                if count == 3:
                    add_city(shop, "Oslo")

            executor = Watched(asker.executor, replace)
            of = (executor, asker.database, digest, asker.schema)
            return values(await asker.indexes.find(*of, TEXT))

    assert asyncio.run(run()) == []
    assert "the file was replaced" in caplog.text
    assert not index_of(shop).exists()


def test_a_busy_sandbox_means_no_values_and_is_asked_later(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int) -> None:
        raise NoFreeWorker("all workers are busy", retry_after_s=1)

    async def run() -> tuple[list[str], list[str], int]:
        async with Asker(shop, tmp_path / "home") as asker:
            asker.executor = watched = Watched(asker.executor, refuse)
            return values(await asker.find(TEXT)), values(await asker.find(TEXT)), watched.count

    assert asyncio.run(run()) == ([], [], 1)
    assert "no index of the values of 'shop': all workers are busy" in caplog.text


def test_a_database_that_is_gone_means_no_values(shop: Path, tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with Asker(shop, tmp_path / "home") as asker:
            digest = sha256(shop)
            shop.unlink()
            of = (asker.executor, asker.database, digest, asker.schema)
            return values(await asker.indexes.find(*of, TEXT))

    assert asyncio.run(run()) == []


def test_closing_stops_a_build(shop: Path, tmp_path: Path) -> None:
    async def run() -> bool:
        async with Asker(shop, tmp_path / "home", wait_s=0.01) as asker:
            asker.executor = Watched(asker.executor, lambda _: asyncio.Event().wait())
            await asker.find(TEXT)
        return index_of(shop).exists()

    assert asyncio.run(asyncio.wait_for(run(), 30)) is False


def test_indexes_over_the_bound_leave_memory_and_come_back(
    shop: Path, make_database: Callable[[str, str], Path], tmp_path: Path
) -> None:
    other = make_database("other", "CREATE TABLE t (place TEXT); INSERT INTO t VALUES ('Lima')")

    async def run() -> list[list[str]]:
        async with (
            Asker(shop, tmp_path / "home", memory_bytes=1) as first,
            Asker(other, tmp_path / "home") as second,
        ):
            second.indexes = first.indexes
            return [
                values(await asker.find(text))
                for asker, text in [(first, TEXT), (second, "what of lima"), (first, TEXT)]
            ]

    assert asyncio.run(run()) == [FOUND, ["t.place=Lima"], FOUND]
