"""Options that several commands share."""

from typing import Annotated

import typer

from service.settings import load_settings
from service.text2sql.types import METRICS

DEFAULT_METRICS = ["bird_ex"]

Url = Annotated[
    str | None, typer.Option(help="The service; default from VERISQL_HOST and VERISQL_PORT.")
]
Db = Annotated[str, typer.Option("--db", help="The database to ask, by its db_id.")]
Key = Annotated[str | None, typer.Option(help="API key; default the first of VERISQL_API_KEYS.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help=f"May be given more than once, the first decides the status: {', '.join(METRICS)}.",
    ),
]


def address(url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """The service's URL and a key, from the settings where they are not given."""
    settings = load_settings()
    keys = sorted(settings.api_key_set)
    return (
        url or f"http://{settings.host}:{settings.port}",
        api_key or (keys[0] if keys else None),
    )
