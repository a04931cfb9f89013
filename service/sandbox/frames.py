"""The wire between parent and worker: a 4-byte length, then JSON. Standard library only.

JSON, not pickle: what a worker sends comes from a process that ran hostile input.
"""

import json
import struct
from typing import Any, BinaryIO

Frame = dict[str, Any]
HEADER = struct.Struct("!I")
# No frame has itself inside.
_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def encode(frame: Frame) -> bytes:
    """One message as bytes."""
    body = _JSON.encode(frame).encode()
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> Frame:
    """The message in a frame's body; raises ValueError if it is not a JSON object."""
    frame = json.loads(body)
    if not isinstance(frame, dict):
        raise ValueError("a frame must be a JSON object")
    return frame


def read(stream: BinaryIO) -> Frame | None:
    """The next message of a blocking stream, None at its end."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return decode(stream.read(HEADER.unpack(header)[0]))
