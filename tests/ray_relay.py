"""The life of a Ray cluster in a network namespace: its loopback, its way out, its end.

python ray_relay.py SOCKET PORT: brings loopback up, hands the Unix socket on to the dashboard's
port, and when standard input ends (its tests are over, or were killed) kills every process of the
namespace, by id.
"""

import asyncio
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path

_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()
    target.close()


async def relay(socket_path: str, port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_unix_server(serve, socket_path)
    await server.serve_forever()


def neighbours() -> list[int]:
    """All other processes of this namespace."""
    here = os.stat("/proc/self/ns/net").st_ino
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.stat(path / "ns/net").st_ino == here and int(path.name) != os.getpid():
                found.append(int(path.name))
    return found


def end_with_input() -> None:
    sys.stdin.read()
    while others := neighbours():
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    raise_loopback()
    threading.Thread(target=end_with_input, daemon=True).start()
    asyncio.run(relay(sys.argv[1], int(sys.argv[2])))
