"""`verisql serve`: check what can be checked, prepare the model, then serve until told to stop."""

import logging
import socket
import sys

import uvicorn

from service import logs
from service.app import create_app
from service.errors import SettingsError
from service.models.registry import resolve_model
from service.settings import Settings

_LOG = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises SettingsError, ModelUnavailable, NoDiskSpace."""
    logs.configure(settings.log_level)
    listener = _listen(settings)
    if settings.engine == "local":
        say(f"model {settings.model}")
        resolve_model(settings.model, settings.models_path, say)
    host, port = listener.getsockname()[:2]
    app = create_app(settings, say=say, address=f"http://{host}:{port}")
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listener])


def say(line: str) -> None:
    """Progress for the person who started the service."""
    sys.stderr.write(f"verisql: {line}\n")
    sys.stderr.flush()


def _listen(settings: Settings) -> socket.socket:
    """The listening socket, taken before anything is spent on starting."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "set VERISQL_HOST and VERISQL_PORT to a free address"
        ) from error
    return listener
