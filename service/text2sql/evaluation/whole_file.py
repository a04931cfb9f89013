"""Write a file so that nobody ever sees half of it."""

import os
from contextlib import suppress
from pathlib import Path

from service.errors import InvalidRequest


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing, folders included; raises InvalidRequest."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error
