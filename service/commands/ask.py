"""`verisql ask`: one question, its SQL, what that means, and its rows."""

from typing import Annotated

import typer

from service import terminal
from service.client import Client
from service.commands.options import Db, Key, Url, address


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    db: Db,
    evidence: Annotated[str, typer.Option(help="Knowledge that the question builds on.")] = "",
    n: Annotated[int, typer.Option(min=1, max=64, help="Candidates that vote.")] = 1,
    repair: Annotated[int, typer.Option(min=0, max=5, help="Tries to mend what fails.")] = 1,
    dialect: Annotated[str, typer.Option(help="Of the SQL shown.")] = "sqlite",
    max_rows: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Turn a question into SQL, run it, show both."""
    body = {
        "question": question,
        "db_id": db,
        "evidence": evidence,
        "n": n,
        "repair": repair,
        "dialect": dialect,
        "execute": True,
        "max_rows": max_rows,
    }
    with Client(*address(url, api_key)) as client:
        answer = client.post("/generate", body)
    terminal.show_answer(answer)
    if answer["result"] is None:
        raise typer.Exit(1)
