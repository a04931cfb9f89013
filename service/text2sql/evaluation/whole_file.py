"""Write a file so that nobody ever sees half of it."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from service.errors import InvalidRequest, NoDiskSpace


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing, folders included, on disk before it has its name.

    Raises NoDiskSpace, InvalidRequest for anything else that keeps it from being written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoDiskSpace(f"{path} cannot be written: {error.strerror}") from error
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error
