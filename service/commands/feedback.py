"""`verisql feedback`: what people said of answers, and what may be trained on."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service import terminal
from service.client import Client
from service.commands.options import Key, Url, address
from service.errors import InvalidRequest

feedback = typer.Typer(help="Feedback on answers of a running service.", no_args_is_help=True)

Db = Annotated[str | None, typer.Option("--db", help="Only of this database.")]


@feedback.command(name="list")
def list_feedback(
    db: Db = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """The latest feedback."""
    with Client(*address(url, api_key)) as client:
        terminal.show_feedback(client.get("/feedback", limit=limit, db_id=db)["data"])


@feedback.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write JSON lines in BIRD's format.")],
    db: Db = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Write every verified query as a training row; FILE is replaced as a whole.

    Ends with 1, and writes nothing, if there is none.
    """
    part = file.with_name(f"{file.name}.part")
    with Client(*address(url, api_key)) as client:
        try:
            rows = _write(part, client, db)
            if rows:
                os.replace(part, file)
            else:
                part.unlink()
        except OSError as error:
            raise InvalidRequest(f"{file} cannot be written: {error.strerror}") from error
    Console().print(f"{rows} rows" if rows else "no verified queries yet", highlight=False)
    if not rows:
        raise typer.Exit(1)


def _write(path: Path, client: Client, db: str | None) -> int:
    rows = 0
    with path.open("wb") as out:
        for piece in client.download("/feedback/export", db_id=db):
            out.write(piece)
            rows += piece.count(b"\n")
    return rows
