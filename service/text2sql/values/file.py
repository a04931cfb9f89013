"""The file of a value index: sealed, so that only what this service wrote is ever read again.

An index is an SQLite image, and a crafted one may hurt the process that opens it, just like a
crafted database. So a file begins with a line of its own (no database begins like that), the
database's SHA-256 and an HMAC-SHA256 over everything, under a key that lies in the service's home
folder. The bytes that were checked are the bytes that are used: nothing opens the file a second
time. Symbolic links are not followed, anything but a plain file is passed over.
"""

import hmac
import os
import secrets
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

VERSION = 1
"""Of what an index holds; a file of another version is built again."""
_MAGIC = b"VeriSQL values %d\n" % VERSION
_DIGEST = 32  # bytes of a SHA-256
_HEAD = len(_MAGIC) + 2 * _DIGEST
MAX_BYTES = 256 * 2**20
"""A larger file is not read."""
_ABANDONED_S = 3600.0


def load_key(folder: Path) -> bytes:
    """The key in `folder`, made when it is missing; raises OSError."""
    path = folder / "key"
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        _write_new(path, secrets.token_bytes(_DIGEST))
    key = _read(path, _DIGEST)
    if len(key) != _DIGEST:
        raise OSError(0, "is not a key of an index: remove it", str(path))
    return key


def read_index(path: Path, key: bytes, sha256: str) -> bytes | None:
    """The image in the file, or None where it is missing, foreign, damaged or of another database.

    `sha256` is the database's, in hexadecimal.
    """
    try:
        content = _read(path, MAX_BYTES)
    except OSError:
        return None
    sealed = len(_MAGIC) + _DIGEST
    head, seal, image = content[:sealed], content[sealed:_HEAD], content[_HEAD:]
    if head != _MAGIC + bytes.fromhex(sha256) or not image:
        return None
    return image if hmac.compare_digest(seal, _seal(key, head, image)) else None


def write_index(path: Path, key: bytes, sha256: str, image: bytes) -> None:
    """Put the image into the file, whole or not at all; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = _MAGIC + bytes.fromhex(sha256)
    _sweep(path)
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in (head, _seal(key, head, image), image):
                file.write(part)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _seal(key: bytes, head: bytes, image: bytes) -> bytes:
    seal = hmac.new(key, head, "sha256")
    seal.update(image)
    return seal.digest()


def _read(path: Path, most: int) -> bytes:
    # Without O_NONBLOCK, opening a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise OSError(0, "is not an index", str(path))
        return file.read(most)


def _write_new(path: Path, content: bytes) -> None:
    """Create the file with its content at once, so that nobody reads a part of it."""
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.link(name, path)  # fails where the name is taken; a rename would replace it
    finally:
        os.unlink(name)


def _prefix(path: Path) -> str:
    return f".{path.name}-"


def _sweep(path: Path) -> None:
    """Remove what a writer left that was killed more than an hour ago."""
    for entry in os.scandir(path.parent):
        if entry.name.startswith(_prefix(path)) and entry.name.endswith(".tmp"):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < time.time() - _ABANDONED_S:
                    os.unlink(entry.path)
