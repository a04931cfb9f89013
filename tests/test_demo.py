"""The demo database and its questions: always the same, mended when damaged, gold that bites."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from service.demo import DEMO_DB_ID, build_demo, questions_path
from service.errors import DatabaseUnusable

CONTENT_SHA256 = "2c711b0c84bc9d3eaed577f35c3b3a49195619386f8c3da627594ecef1395054"
"""Every row of every table. Documented results hold for this content: change both together."""

ROWS = {
    "store": (9, 9),
    "employee": (40, 60),
    "customer": (280, 280),
    "category": (20, 20),
    "product": (80, 90),
    "supplier": (14, 14),
    "product_supplier": (130, 180),
    "sales_order": (1000, 1020),
    "order_line": (2200, 2500),
    "product_return": (130, 200),
    "product_review": (280, 360),
}
"""Table -> fewest and most rows."""

EMPTY_IS_TRUE = {15}
"""Question ids whose right answer has no rows."""

UNNOTICED = {
    (19, "turn o.order_date >= '2024-01-01'"): "a few orders on New Year leave the top five alone",
    (32, "turn o.order_date >= '2024-01-01'"): "a few orders on New Year leave the winners alone",
    (
        34,
        "turn o.order_date >= '2024-01-01'",
    ): "these customers bought the departments on other days",
    (
        34,
        "turn o.order_date < '2025-01-01'",
    ): "these customers bought the departments on other days",
    (38, "turn 100.0 * SUM(COALESCE(b.units, 0)) / SUM(l.quantity) > 8"): "no rate is exactly 8 %",
}
"""Changes of a gold that this data cannot tell from the gold, and why."""

QUESTIONS: list[dict[str, Any]] = json.loads(questions_path().read_text(encoding="utf-8"))
each_question = pytest.mark.parametrize("item", QUESTIONS, ids=lambda q: f"q{q['question_id']}")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def demo(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    yield connection
    connection.close()


def tables(demo: sqlite3.Connection) -> list[str]:
    names = demo.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in names]


# The database


def test_two_builds_are_identical_to_the_byte(database: Path, tmp_path: Path) -> None:
    assert build_demo(tmp_path).read_bytes() == database.read_bytes()
    assert database == database.parents[1] / DEMO_DB_ID / f"{DEMO_DB_ID}.sqlite"


def test_a_new_process_with_another_hash_seed_builds_the_same(database: Path) -> None:
    script = (
        "import sys; from service.demo.build import demo_bytes as b; sys.stdout.buffer.write(b())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4242"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == database.read_bytes()


def test_the_content_is_the_published_one(demo: sqlite3.Connection) -> None:
    digest = hashlib.sha256()
    for table in tables(demo):
        rows = sorted(repr(row) for row in demo.execute(f"SELECT * FROM {table}"))
        digest.update("\n".join([table, *rows, ""]).encode())
    assert digest.hexdigest() == CONTENT_SHA256


def test_it_is_sound_and_every_foreign_key_points_somewhere(demo: sqlite3.Connection) -> None:
    assert demo.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert demo.execute("PRAGMA foreign_key_check").fetchall() == []
    assert demo.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_tables_and_row_counts_are_within_the_stated_bounds(demo: sqlite3.Connection) -> None:
    assert tables(demo) == sorted(ROWS)
    for table, (fewest, most) in ROWS.items():
        (rows,) = demo.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        assert fewest <= rows <= most, table


def test_every_column_that_may_be_null_has_nulls_and_values(demo: sqlite3.Connection) -> None:
    seen = 0
    for table in ROWS:
        for _, column, _, required, _, key in demo.execute(f"PRAGMA table_info({table})"):
            if not required and not key:
                seen += 1
                counts = demo.execute(f"SELECT COUNT(*), COUNT({column}) FROM {table}").fetchone()
                assert counts[0] > counts[1] > 0, f"{table}.{column}"
    assert seen >= 15


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM customer WHERE customer_id NOT IN "
        "(SELECT customer_id FROM sales_order WHERE customer_id IS NOT NULL)",
        "SELECT 1 FROM product WHERE product_id NOT IN (SELECT product_id FROM order_line)",
        "SELECT 1 FROM store WHERE store_id NOT IN "
        "(SELECT store_id FROM sales_order WHERE store_id IS NOT NULL)",
        "SELECT 1 FROM supplier WHERE supplier_id NOT IN "
        "(SELECT supplier_id FROM product_supplier)",
        "SELECT 1 FROM sales_order WHERE status = 'cancelled'",
        "SELECT 1 FROM sales_order WHERE status = 'returned'",
        "SELECT 1 FROM customer GROUP BY first_name, last_name HAVING COUNT(*) > 1",
        "SELECT 1 FROM product GROUP BY list_price HAVING COUNT(*) > 1",
    ],
)
def test_the_awkward_cases_of_real_data_are_there(demo: sqlite3.Connection, sql: str) -> None:
    assert demo.execute(sql).fetchone() == (1,)


def test_the_story_is_consistent(demo: sqlite3.Connection) -> None:
    impossible = (
        "SELECT 1 FROM sales_order WHERE (channel = 'online') <> (store_id IS NULL)",
        "SELECT 1 FROM sales_order JOIN customer USING (customer_id) WHERE order_date < joined_on",
        "SELECT 1 FROM sales_order JOIN store USING (store_id) "
        "WHERE order_date < opened_on OR order_date > closed_on",
        "SELECT 1 FROM sales_order o JOIN employee e ON e.employee_id = o.sold_by "
        "WHERE o.store_id <> e.store_id OR order_date < hired_on OR order_date > left_on",
        "SELECT 1 FROM order_line JOIN sales_order USING (order_id) "
        "JOIN product USING (product_id) "
        "WHERE order_date < launched_on OR order_date > discontinued_on",
        "SELECT 1 FROM product_return r JOIN order_line l USING (order_id, line_no) "
        "WHERE r.quantity > l.quantity",
        "SELECT 1 FROM employee WHERE hired_on > left_on",
        "SELECT 1 FROM product p WHERE 1 <> "
        "(SELECT SUM(is_preferred) FROM product_supplier WHERE product_id = p.product_id)",
    )
    assert [sql for sql in impossible if demo.execute(sql).fetchone()] == []


# Building it


def test_it_builds_within_two_seconds_of_work_and_a_second_call_writes_nothing(
    tmp_path: Path,
) -> None:
    started = time.process_time()
    path = build_demo(tmp_path)
    assert time.process_time() - started < 2
    before = {p: p.stat() for p in path.parent.iterdir()}
    build_demo(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in path.parent.iterdir()} == {
        p: s.st_mtime_ns for p, s in before.items()
    }
    assert path.stat().st_ino == before[path].st_ino


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _add_a_row(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO category VALUES (99, 'Sledges', NULL)")
    connection.commit()
    connection.close()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit flipped": _flip_a_bit,
    "a row added": _add_a_row,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "no stamp": lambda path: path.with_suffix(".build.json").unlink(),
    "a stamp of nonsense": lambda path: path.with_suffix(".build.json").write_text("[1"),
    "an old builder": lambda path: path.with_suffix(".build.json").write_text('{"builder": "0"}'),
    "a journal left": lambda path: path.with_name(path.name + "-journal").write_bytes(b"x" * 600),
    "a log left": lambda path: path.with_name(path.name + "-wal").write_bytes(b"x"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_noticed_and_mended(
    damage: Callable[[Path], object], database: Path, tmp_path: Path
) -> None:
    path = build_demo(tmp_path)
    damage(path)
    assert build_demo(tmp_path).read_bytes() == database.read_bytes()
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "alpine_retail.build.json",
        "alpine_retail.sqlite",
    ]


def test_several_builders_at_once_do_not_disturb_each_other(database: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(build_demo, [tmp_path] * 4))
    assert set(paths) == {tmp_path / DEMO_DB_ID / f"{DEMO_DB_ID}.sqlite"}
    assert paths[0].read_bytes() == database.read_bytes()
    assert len(list(paths[0].parent.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DatabaseUnusable, match="file/alpine_retail"):
        build_demo(tmp_path / "file")


def test_importing_the_package_is_light() -> None:
    script = "import service.demo, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"pydantic", "fastapi", "sqlglot", "sqlalchemy", "torch"} & set(run.stdout.split())


# The questions


def test_the_questions_are_in_birds_format_and_mixed() -> None:
    fields = {"question_id", "db_id", "question", "evidence", "SQL", "difficulty"}
    assert all(set(q) == fields and q["db_id"] == DEMO_DB_ID for q in QUESTIONS)
    assert [q["question_id"] for q in QUESTIONS] == list(range(40))
    assert len({q["question"] for q in QUESTIONS}) == len({q["SQL"] for q in QUESTIONS}) == 40
    difficulties = Counter(q["difficulty"] for q in QUESTIONS)
    assert difficulties == {"simple": 16, "moderate": 16, "challenging": 8}


@each_question
def test_gold_takes_less_than_a_second_of_work_and_finds_rows(
    demo: sqlite3.Connection, item: dict[str, Any]
) -> None:
    started = time.process_time()
    rows = demo.execute(item["SQL"]).fetchall()
    assert time.process_time() - started < 1
    assert bool(rows) != (item["question_id"] in EMPTY_IS_TRUE)
    assert len(rows) <= 40


@each_question
def test_gold_does_not_depend_on_the_scan_order(
    demo: sqlite3.Connection, item: dict[str, Any]
) -> None:
    is_ordered = sqlglot.parse_one(item["SQL"], read="sqlite").args.get("order") is not None
    plain = demo.execute(item["SQL"]).fetchall()
    demo.execute("PRAGMA reverse_unordered_selects = ON")
    backwards = demo.execute(item["SQL"]).fetchall()
    assert plain == backwards if is_ordered else sorted(plain) == sorted(backwards)


@each_question
def test_rounded_figures_do_not_hang_on_the_last_bit(
    demo: sqlite3.Connection, item: dict[str, Any]
) -> None:
    tree = sqlglot.parse_one(item["SQL"], read="sqlite")
    for shift in ("+ 1e-7", "- 1e-7"):
        moved = tree.copy()
        for rounded in moved.find_all(exp.Round):
            operand = f"({rounded.this.sql(dialect='sqlite')}) {shift}"
            rounded.set("this", sqlglot.parse_one(operand, read="sqlite"))
        found = demo.execute(moved.sql(dialect="sqlite")).fetchall()
        assert sorted(found) == sorted(demo.execute(item["SQL"]).fetchall())


@each_question
def test_a_changed_gold_gives_another_result(
    demo: sqlite3.Connection, item: dict[str, Any]
) -> None:
    gold = set(demo.execute(item["SQL"]))
    same = {name for name, sql in mutants(item["SQL"]) if set(demo.execute(sql)) == gold}
    expected = {name for number, name in UNNOTICED if number == item["question_id"]}
    assert same == expected


TURNED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.GTE,
    exp.GTE: exp.GT,
    exp.LT: exp.LTE,
    exp.LTE: exp.LT,
}


def mutants(sql: str) -> Iterator[tuple[str, str]]:
    """Each WHERE and HAVING, each of their conditions left out; each bound made (ex)clusive."""
    tree = sqlglot.parse_one(sql, read="sqlite")
    for number, node in enumerate(tree.walk()):
        for name, change in _changes(node):
            changed = tree.copy()
            change(list(changed.walk())[number])
            yield name, changed.sql(dialect="sqlite")


def _changes(node: exp.Expr) -> Iterator[tuple[str, Callable[[exp.Expr], object]]]:
    text = node.sql(dialect="sqlite")
    if isinstance(node, exp.Where | exp.Having):
        yield f"without {text}", lambda n: n.pop()
    if isinstance(node, exp.And):
        yield f"only the left of {text}", lambda n: n.replace(n.this.copy())
        yield f"only the right of {text}", lambda n: n.replace(n.expression.copy())
    if isinstance(node, exp.Join) and node.side:
        yield f"inner {text}", lambda n: n.set("side", None)
    if turned := TURNED.get(type(node)):
        yield f"turn {text}", lambda n: n.replace(turned(this=n.this, expression=n.expression))
