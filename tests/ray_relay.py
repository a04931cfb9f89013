"""Inside a network namespace: brings loopback up, hands a Unix socket on to Ray's dashboard.

python ray_relay.py SOCKET PORT
"""

import asyncio
import fcntl
import socket
import struct
import sys
from contextlib import suppress

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


if __name__ == "__main__":
    raise_loopback()
    asyncio.run(relay(sys.argv[1], int(sys.argv[2])))
