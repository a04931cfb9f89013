"""`verisql serve`: check what can be checked, prepare the model, then serve until told to stop."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
import uvloop
from fastapi import FastAPI

from service import logs
from service.app import create_app
from service.errors import SettingsError
from service.models.registry import resolve_model
from service.settings import Settings


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises SettingsError, ModelUnavailable, NoDiskSpace."""
    logs.configure(settings.log_level)
    listener = _listen(settings)
    if settings.engine == "local":
        say(f"model {settings.model}")
        model = resolve_model(settings.model, settings.models_path, say)
        say(f"model {model.told} at {model.revision}, prompts {settings.template}")
    host, port = listener.getsockname()[:2]
    app = create_app(settings, say=say, address=f"http://{host}:{port}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, listener))


async def _serve(app: FastAPI, listener: socket.socket) -> None:
    """Start the parts, answer until a signal, stop the parts; an error of starting is raised."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=5)
    server = _Server(config)
    whole = asyncio.current_task()

    def stop() -> None:
        server.should_exit = True
        if whole and not server.started:
            whole.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        async with app.router.lifespan_context(app):
            gc.collect()
            gc.freeze()  # what is there now stays: no need to look at it again and again
            await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Leaves signals to `_serve`: uvicorn's own handlers would end us before the parts are."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def say(line: str) -> None:
    """Progress for the person who started the service, if there still is one."""
    with suppress(OSError, ValueError):  # standard error was closed
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
