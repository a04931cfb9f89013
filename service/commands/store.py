"""`verisql store`: the schema of our own database, where the service need not run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import typer

from service.settings import load_settings

if TYPE_CHECKING:
    from service.jobs.store import JobStore

store = typer.Typer(help="The store of jobs and feedback (VERISQL_STORE_URL).")


@store.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Say which revision the store has, and which one this program works with."""
    if context.invoked_subcommand is None:
        place, found, newest = asyncio.run(_revisions())
        typer.echo(f"{place}: revision {found or 'none'}, this VeriSQL has {newest}")


@store.command()
def upgrade() -> None:
    """Bring the store to this program's revision; a service does the same when it starts."""
    before, after = asyncio.run(_upgraded())
    typer.echo(f"{before or 'none'} -> {after}")


async def _revisions() -> tuple[str, str | None, str]:
    async with _opened() as jobs:
        return jobs.place, *await jobs.revisions()


async def _upgraded() -> tuple[str | None, str | None]:
    async with _opened() as jobs:
        before, _ = await jobs.revisions()
        await jobs.open()
        after, _ = await jobs.revisions()
        return before, after


@asynccontextmanager
async def _opened() -> AsyncIterator["JobStore"]:
    """Any of the stores will do: all share one database."""
    from service.jobs.store import JobStore  # no other command needs a database's driver

    jobs = JobStore(load_settings().store_address)
    try:
        yield jobs
    finally:
        await jobs.close()
