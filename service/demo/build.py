"""Builds the demo database: the same bytes every time, written only when something differs."""

import errno
import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.demo import catalogue, people, sales
from service.demo.dice import Dice
from service.demo.rows import Row
from service.errors import DatabaseUnusable, NoDiskSpace

DEMO_DB_ID = "alpine_retail"
ORDERS = 1000
_HERE = Path(__file__).parent
_LEFTOVERS = ("-journal", "-wal", "-shm")


def build_demo(folder: Path) -> Path:
    """Path of `<folder>/alpine_retail/alpine_retail.sqlite`, built if absent, old or altered.

    A stamp beside the file holds the hash of the builder and of the file, so a second call costs
    a few milliseconds and writes nothing. Safe to call from several processes at once. Raises
    NoDiskSpace, or DatabaseUnusable if the folder cannot be written.
    """
    path = folder / DEMO_DB_ID / f"{DEMO_DB_ID}.sqlite"
    stamp = path.with_suffix(".build.json")
    try:
        if not _is_current(path, stamp):
            _write(path, stamp, demo_bytes())
    except OSError as error:
        raise _explained(path, error) from error
    return path


def questions_path() -> Path:
    """The questions with gold SQL about the demo database, in BIRD's JSON format."""
    return _HERE / "questions.json"


def demo_bytes() -> bytes:
    """The database file as bytes; the same for one version of SQLite."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.executescript((_HERE / "schema.sql").read_text(encoding="utf-8"))
        connection.execute("BEGIN")
        for table, rows in demo_rows().items():
            _insert(connection, table, rows)
        connection.execute("COMMIT")
        connection.execute("VACUUM")
        return connection.serialize()
    finally:
        connection.close()


def demo_rows() -> Mapping[str, Sequence[Row]]:
    """Table -> rows, parents before children."""
    stores, staff, customers = people.stores(), people.employees(), people.customers()
    categories, suppliers = catalogue.categories(), catalogue.suppliers()
    products = catalogue.products(categories)
    market = sales.Market(Dice("orders"), stores, staff, customers, products)
    orders = sales.orders(market, ORDERS)
    lines = sales.lines(market, orders)
    return {
        "store": stores,
        "employee": staff,
        "customer": customers,
        "category": categories,
        "product": products,
        "supplier": suppliers,
        "product_supplier": catalogue.offers(products, categories),
        "sales_order": orders,
        "order_line": lines,
        "product_return": sales.returns(orders, lines),
        "product_review": sales.reviews(orders, lines),
    }


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    fields = rows[0]._fields
    marks = ", ".join("?" for _ in fields)
    # Table and column names come from this package, never from a user.
    statement = f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})"  # noqa: S608
    connection.executemany(statement, rows)


def _is_current(path: Path, stamp: Path) -> bool:
    if any(_leftover(path, suffix).exists() for suffix in _LEFTOVERS):
        return False
    try:
        written = json.loads(stamp.read_bytes())
        return bool(written == _stamp(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return False


def _stamp(content: bytes) -> dict[str, str]:
    return {"builder": _builder_hash(), "file": hashlib.sha256(content).hexdigest()}


def _builder_hash() -> str:
    digest = hashlib.sha256()
    for source in sorted([*_HERE.glob("*.py"), _HERE / "schema.sql"]):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _write(path: Path, stamp: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A journal left by a writer would be played back over the new file.
    for suffix in _LEFTOVERS:
        _leftover(path, suffix).unlink(missing_ok=True)
    _replace(path, content)
    _replace(stamp, json.dumps(_stamp(content), indent=1).encode() + b"\n")


def _leftover(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _explained(path: Path, error: OSError) -> NoDiskSpace | DatabaseUnusable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoDiskSpace(f"no space left to build {path} (under 1 MB): free some, or use another")
    return DatabaseUnusable(
        f"the demo database {path} cannot be built ({error.strerror}): "
        "name a folder that can be written"
    )
