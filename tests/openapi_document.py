"""`python -m tests.openapi_document` prints openapi.yaml, made from the app itself."""

import yaml

from service.app import create_app
from service.settings import load_settings


def as_yaml() -> str:
    """The OpenAPI document of this version, independent of the machine's settings."""
    app = create_app(load_settings(engine="off"))
    return str(yaml.safe_dump(app.openapi(), sort_keys=False, allow_unicode=True, width=100))


if __name__ == "__main__":
    print(as_yaml(), end="")  # noqa: T201
