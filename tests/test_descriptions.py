"""BIRD's descriptions are read as they are published, faults included."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.settings import load_settings
from service.text2sql.databases import Database
from service.text2sql.description_file import parse
from service.text2sql.descriptions import Descriptions, read_descriptions, signature
from service.text2sql.prompt import build_prompt
from service.text2sql.schema import Schema, SchemaCache
from tests.fixtures_prompt import user

HEADER = b"original_column_name,column_name,column_description,data_format,value_description\n"
TABLES = {
    "customer": ["id", "Full Name", "city"],
    "orders": ["id", "customer_id", "amount"],
    "rulings": ["uuid", "date", "text"],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write one file of descriptions; gives the path of the database beside them."""

    def one(name: str, data: bytes) -> Path:
        folder = tmp_path / "shop" / "database_description"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return tmp_path / "shop" / "shop.sqlite"

    return one


Write = Callable[[str, bytes], Path]


def said(found: Descriptions) -> dict[str, tuple[str, str]]:
    return {
        f"{table}.{column}": (one.description, one.value_description)
        for (table, column), one in found.columns.items()
    }


def one(data: bytes) -> tuple[str, str]:
    """What a file says of its only column."""
    (described,) = parse(data).columns
    return described.description, described.value_description


def test_a_published_file_is_read(write: Write) -> None:
    path = write(
        "customer.csv",
        b"\xef\xbb\xbf" + HEADER + b"id,,unique id,integer,\r\n"
        b'Full Name,name,"name, as on the card",text,\r\n'
        b'city,city,where they live,text,"commonsense evidence:\r\nP: Paris"\r\n',
    )
    found = read_descriptions(path, TABLES)
    assert found.warnings == []
    assert said(found) == {
        "customer.id": ("unique id", ""),
        "customer.Full Name": ("name, as on the card", ""),
        "customer.city": ("where they live", "commonsense evidence: P: Paris"),
    }


@pytest.mark.parametrize(
    "data",
    [
        b"id,x,K\xf6ln \x96 caf\xe9,text,\n",  # Windows-1252
        "id,x,Köln \u2013 café,text,\n".encode(),
        "id,x,Köln \u2013 caf".encode() + b"\xe9,text,\n",  # both in one file
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_encoding_is_read_for_what_it_means(mark: bytes, data: bytes) -> None:
    assert one(mark + HEADER + data)[0] == "x: Köln \u2013 café"


def test_utf_16_with_its_mark_is_read() -> None:
    text = (HEADER + "id,,Köln,text,\n".encode()).decode()
    assert one(text.encode("utf-16")) == ("Köln", "")


def test_no_byte_makes_a_file_unreadable() -> None:
    every = bytes(byte for byte in range(256) if byte not in b'\r\n",')
    assert len(one(HEADER + b"id,," + every + b",text,\n")[0]) > 100


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbf Original_Column_Name , COLUMN DESCRIPTION\n id , d \n", ("d", "")),
        (b"column_description,original_column_name\nd,id\n", ("d", "")),
        (b"original_column_name\nid\n", ("", "")),
        (b"column_name,column_description\nid,d\n", ("d", "")),
        (HEADER + b"id,,d,text,N,not y,\xc3\xa4\n", ("d", "N, not y, ä")),  # commas unquoted
        (HEADER[:-1] + b",,\nid,,d,text,v,,\n", ("d", "v")),  # unnamed headers
        (HEADER + b"id,,d\n", ("d", "")),  # fewer cells than headers
        (HEADER + b"\n,,,,\nid,,d,text,\n , , ,\n", ("d", "")),  # empty lines
        (HEADER + b"id,,d\x00e,text,\n", ("de", "")),
        (HEADER.replace(b"\n", b"\r") + b"id,,d,text,\r", ("d", "")),
        (HEADER + b'id,,"one\ntwo\r\n\tthree",text,\n', ("one two three", "")),
        (HEADER + b'id,, "a, ""b""",text,\n', ('a, "b"', "")),
        (HEADER + b"id,id,ID,text,\n", ("", "")),  # says nothing that the name does not say
        (HEADER + b"A2,district_name,district name,text,\n", ("district_name", "")),
        (HEADER + b"A2,district,name of the district,text,\n", ("name of the district", "")),
        (HEADER + b"A2,district,where it is,text,\n", ("district: where it is", "")),
    ],
)
def test_faults_do_not_hide_what_is_said(data: bytes, expected: tuple[str, str]) -> None:
    assert one(data) == expected


def test_long_texts_are_cut() -> None:
    description, values = one(HEADER + b"id,," + b"d" * 5000 + b",text," + b"v" * 5000 + b"\n")
    assert (len(description), len(values)) == (200, 300)
    assert description.endswith("…")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"\x00\x00", "is empty"),
        (b"a,b\n1,2\n", "neither a column original_column_name"),
        (HEADER + b'id,,"never closed,text,\ncity,,d,text,\n', "quotation mark"),
        (HEADER + b"id,," + b"x" * 200_000 + b",,\n", "read up to line"),
        (HEADER + b"ID,,d,,\nnope,,d,,\n", "names 1 columns that customer has not: nope"),
        (HEADER + b"x" * 2**20, "over the limit of 1048576 bytes"),
    ],
)
def test_what_cannot_be_read_is_a_warning_that_names_the_file(
    write: Write, data: bytes, words: str
) -> None:
    (warning,) = read_descriptions(write("customer.csv", data), TABLES).warnings
    assert warning.startswith("database_description/customer.csv ")
    assert words in warning


def test_what_was_read_before_a_fault_is_kept(write: Write) -> None:
    data = HEADER + b"id,,d,,\ncity,," + b"x" * 200_000 + b",,\n"
    assert said(read_descriptions(write("customer.csv", data), TABLES)) == {
        "customer.id": ("d", "")
    }


def test_names_may_differ_in_case_and_blanks(write: Write) -> None:
    path = write(" Customer .CSV", HEADER + b" ID ,,d,,\nfull  NAME\xc2\xa0,,n,,\n")
    found = read_descriptions(path, TABLES)
    assert said(found) == {"customer.id": ("d", ""), "customer.Full Name": ("n", "")}


def test_of_two_files_for_a_table_the_one_with_its_name_goes_first(write: Write) -> None:
    write("CUSTOMER.csv", HEADER + b"id,,shouted,,\ncity,,only here,,\n")
    found = read_descriptions(write("customer.csv", HEADER + b"id,,said,,\n"), TABLES)
    assert said(found) == {"customer.id": ("said", ""), "customer.city": ("only here", "")}


def test_the_first_description_of_a_column_counts(write: Write) -> None:
    path = write("customer.csv", HEADER + b"id,,first,,\nid,,second,,\n")
    assert said(read_descriptions(path, TABLES)) == {"customer.id": ("first", "")}


def test_a_misnamed_file_is_known_by_its_columns(write: Write) -> None:
    path = write("ruling.csv", HEADER + b"uuid,,u,,\ndate,,d,,\ntext,,t,,\n")
    found = read_descriptions(path, TABLES)
    assert set(said(found)) == {"rulings.uuid", "rulings.date", "rulings.text"}
    assert "ruling.csv is read for rulings" in found.warnings[0]


@pytest.mark.parametrize("rows", [b"id,,d,,\n", b"uuid,,d,,\nx,,d,,\n", b""])
def test_a_file_of_no_table_is_a_warning(write: Write, rows: bytes) -> None:
    found = read_descriptions(write("gone.csv", HEADER + rows), TABLES)
    assert said(found) == {}
    assert "gone.csv describes no table" in found.warnings[0]


def test_what_is_no_description_is_passed_over(write: Write) -> None:
    write(".DS_Store", b"\x00\x01")
    write("._customer.csv", b"\x00\x05\x16\x07")
    write("notes.txt", b"hello")
    found = read_descriptions(write("customer.csv", HEADER + b"id,,d,,\n"), TABLES)
    assert (said(found), found.warnings) == ({"customer.id": ("d", "")}, [])


def test_links_out_of_the_folder_are_not_followed(write: Write, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_bytes(HEADER + b"id,,secret,,\n")
    path = write("orders.csv", HEADER + b"id,,d,,\n")
    (path.parent / "database_description" / "customer.csv").symlink_to(secret)
    found = read_descriptions(path, TABLES)
    assert said(found) == {"orders.id": ("d", "")}
    assert "customer.csv cannot be read" in found.warnings[0]


def test_a_linked_folder_is_not_followed(tmp_path: Path, write: Write) -> None:
    elsewhere = write("customer.csv", HEADER + b"id,,d,,\n").parent / "database_description"
    other = tmp_path / "other" / "other.sqlite"
    other.parent.mkdir()
    (other.parent / "database_description").symlink_to(elsewhere)
    found = read_descriptions(other, TABLES)
    assert (said(found), len(found.warnings)) == ({}, 1)
    assert signature(other) == ()


def test_pipes_and_folders_named_like_files_do_not_hold_up(write: Write) -> None:
    path = write("orders.csv", HEADER + b"id,,d,,\n")
    os.mkfifo(path.parent / "database_description" / "customer.csv")
    (path.parent / "database_description" / "rulings.csv").mkdir()
    found = read_descriptions(path, TABLES)
    assert said(found) == {"orders.id": ("d", "")}
    assert len(found.warnings) == 2


def test_without_the_folder_there_is_nothing_to_say(tmp_path: Path) -> None:
    found = read_descriptions(tmp_path / "x.sqlite", TABLES)
    assert (found.columns, found.warnings, signature(tmp_path / "x.sqlite")) == ({}, [], ())


def test_warnings_are_few_and_hold_no_line_break(write: Write) -> None:
    for number in range(80):
        path = write(f"no\n{number}.csv", b"")
    warnings = read_descriptions(path, TABLES).warnings
    assert len(warnings) == 50
    assert all("\n" not in warning for warning in warnings)


def read_twice(database: Database, between: Callable[[], object]) -> list[Schema]:
    async def run() -> list[Schema]:
        async with Executor(workers=1, limits=Limits()) as executor:
            cache = SchemaCache()
            first = await cache.get(executor, database, "sha")
            same = await cache.get(executor, database, "sha")
            assert same is first
            between()
            return [first, await cache.get(executor, database, "sha")]

    return asyncio.run(run())


def test_descriptions_reach_the_prompt_and_a_change_is_seen(shop: Path) -> None:
    folder = shop.parent / "database_description"
    folder.mkdir()
    (folder / "customer.csv").write_bytes(HEADER + b"city,,where they live,text,\n")
    (folder / "lost.csv").write_bytes(HEADER)
    changed = HEADER + b"city,,home,text,R: Rome\n"
    before, after = read_twice(
        Database("shop", shop), lambda: (folder / "customer.csv").write_bytes(changed)
    )
    assert "city TEXT, -- where they live; e.g. 'Paris', 'Rome'" in user(build_prompt(before, "q"))
    assert "city TEXT, -- home; values: R: Rome; e.g. 'Paris'" in user(build_prompt(after, "q"))
    assert "lost.csv describes no table" in after.warnings[0]


def test_the_api_says_what_could_not_be_read(shop: Path, tmp_path: Path) -> None:
    folder = shop.parent / "database_description"
    folder.mkdir()
    (folder / "customer.csv").write_bytes(HEADER + b"city,,where they live,text,\n")
    (folder / "orders.csv").write_bytes(b"")
    settings = load_settings(
        home=tmp_path / "home", data_dir=str(shop.parents[1]), engine="off", workers=1
    )
    with TestClient(create_app(settings)) as client:
        answer = client.get("/databases/shop").json()
    assert answer["warnings"] == ["database_description/orders.csv is empty"]
    assert answer["tables"][0]["columns"][2]["description"] == "where they live"
