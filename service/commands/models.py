"""`verisql models`: which model is live, and switching to another one."""

import json
from typing import Annotated, Any

import typer

from service import terminal
from service.client import Client
from service.commands.options import Key, Url, address

models = typer.Typer(help="Models and adapters of a running service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The adapter's name; `base` is the base model.")]


@models.command(name="list")
def list_models(url: Url = None, api_key: Key = None) -> None:
    """The base model and every adapter."""
    with Client(*address(url, api_key)) as client:
        terminal.show_models(client.get("/models")["data"])


@models.command()
def register(
    name: Annotated[str, typer.Argument(help="What it shall be called.")],
    path: Annotated[
        str | None, typer.Option(help="Its folder on the server; default: in the adapters' folder.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="The adapter that it was trained from.")
    ] = None,
    metadata: Annotated[str, typer.Option(help="Lineage, as a JSON object.")] = "{}",
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Have the service check an adapter and take a copy."""
    body = {"name": name, "path": path, "parent": parent, "metadata": _object(metadata)}
    with Client(*address(url, api_key)) as client:
        terminal.show_models([client.post("/models", body)])


@models.command()
def activate(name: Name, url: Url = None, api_key: Key = None) -> None:
    """Try a model, and make it the live one if it passes; ends with 1 if it does not."""
    with Client(*address(url, api_key)) as client:
        terminal.show_outcome(client.post(f"/models/{name}/activate"))


@models.command(name="roll-back")
def roll_back(url: Url = None, api_key: Key = None) -> None:
    """Go back to what was live before."""
    with Client(*address(url, api_key)) as client:
        terminal.show_outcome(client.post("/models/roll-back"))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--metadata is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise typer.BadParameter("--metadata must be a JSON object")
    return found
