"""Programs of other times for the tests of migrations: a store from before, a newer VeriSQL."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from service.feedback.store import FeedbackStore
from service.jobs.store import JobStore
from service.migrations.upgrade import VERSIONS, newest

T = TypeVar("T")
BEFORE = (Path(__file__).parent / "cases" / "store_before_revisions.sql").read_text()
_NEXT = '''
"""A column, a table made anew, a row that says that this ran."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "9999"
down_revision = "{newest}"


def upgrade(op: Operations) -> None:
    op.add_column("jobs", sa.Column("colour", sa.String(8), nullable=False, server_default="red"))
    with op.batch_alter_table("feedback") as feedback:
        feedback.alter_column("rating", type_=sa.String(99), existing_type=sa.String(16))
    op.create_table("ran", sa.Column("n", sa.Integer), if_not_exists=True)
    op.execute("INSERT INTO ran VALUES (1)")
'''


def next_store(folder: Path) -> type[JobStore]:
    """The job store of a newer VeriSQL, which has one revision more."""
    versions = folder / "next"
    if not versions.exists():
        shutil.copytree(VERSIONS, versions)
        (versions / "r9999_next.py").write_text(_NEXT.format(newest=newest(VERSIONS)))
    return type("NextStore", (JobStore,), {"_versions": versions})


def open_once(store: JobStore | FeedbackStore) -> None:
    """Start and end."""

    async def main() -> None:
        await store.open()
        await store.close()

    asyncio.run(main())


def make_before(url: str, script: str = BEFORE) -> None:
    """Run a script of plain SQL on the database."""

    def run(connection: sa.Connection) -> None:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)

    on(url, run)


def on(url: str, use: Callable[[sa.Connection], T]) -> T:
    """What `use` gives in a transaction, past all of our code."""

    async def main() -> T:
        engine = create_async_engine(url)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(use)
        finally:
            await engine.dispose()

    return asyncio.run(main())


def value(url: str, query: str) -> Any:
    """The first value of a query."""
    return on(url, lambda connection: connection.exec_driver_sql(query).scalar())


def shape(url: str) -> dict[str, Any]:
    """Every table with its columns, keys and indexes, in a form that can be compared."""

    def look(connection: sa.Connection) -> dict[str, Any]:
        inspector = sa.inspect(connection)
        return {
            name: {
                "columns": [
                    (c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)
                ],
                "key": inspector.get_pk_constraint(name)["constrained_columns"],
                "unique": sorted(u["column_names"] for u in inspector.get_unique_constraints(name)),
                "indexes": sorted(
                    (i["name"], i["column_names"])
                    for i in inspector.get_indexes(name)
                    if "duplicates_constraint" not in i
                ),
            }
            for name in inspector.get_table_names()
        }

    return on(url, look)
