"""Where the index files of databases lie: read from there, written there, never a failure."""

import logging
from pathlib import Path

from service.text2sql.databases import Database
from service.text2sql.values.file import load_key, read_index, write_index

SUFFIX = ".values-index"
_LOG = logging.getLogger(__name__)


class ValueStore:
    """Index files, one a database: `<db_id>.values-index`.

    In `folder` where one is given, else beside the database, else (that folder is read-only or
    full) in `<home>/indexes`, which also holds the key. Without a key, nothing is read or written.
    """

    def __init__(self, home: Path, folder: Path | None = None) -> None:
        self._own = home / "indexes"
        self._folder = folder
        self._key: bytes | None = None

    def paths(self, database: Database) -> list[Path]:
        """Where the database's file may be, best first."""
        beside = database.path.parent
        folders = [self._folder] if self._folder else [beside, self._own]
        return [folder / f"{database.path.stem}{SUFFIX}" for folder in folders]

    def read(self, database: Database, sha256: str) -> bytes | None:
        """The image of the database with that hash, None where there is none to be trusted."""
        if (key := self._load_key()) is None:
            return None
        found = (read_index(path, key, sha256) for path in self.paths(database))
        return next((image for image in found if image is not None), None)

    def write(self, database: Database, sha256: str, image: bytes) -> Path | None:
        """Keep the image; None, and a warning, where no folder takes it."""
        if (key := self._load_key()) is None:
            return None
        errors = []
        for path in self.paths(database):
            try:
                write_index(path, key, sha256, image)
            except OSError as error:
                errors.append(f"{path}: {error.strerror or error}")
            else:
                return path
        _LOG.warning("the value index is kept in memory only: %s", "; ".join(errors))
        return None

    def _load_key(self) -> bytes | None:
        if self._key is None:
            try:
                self._key = load_key(self._own)
            except OSError as error:
                why = f"{self._own}: {error.strerror or error}"
                _LOG.warning("value indexes are kept in memory only: %s", why)
        return self._key
