"""How long a stage has taken, over all its sessions but those that were killed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import VeriSQLError
from service.text2sql.evaluation.whole_file import write_whole
from trainer.scale.ranks import is_main


class StageClock:
    """`stages/<stage>.seconds`. A session that is killed is not in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._earlier = _read(path)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Earlier sessions and this one so far."""
        return round(self._earlier + time.monotonic() - self._began, 1)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What ends this session early leaves its time for the next."""
        try:
            yield
        except BaseException as error:
            self._keep(error)
            raise

    def _keep(self, error: BaseException) -> None:
        if not is_main():
            return
        try:
            write_whole(self._path, json.dumps(self.seconds).encode())
        except VeriSQLError as full:
            error.add_note(f"the time of this session is lost: {full.message}")


def _read(path: Path) -> float:
    try:
        return float(path.read_bytes())
    except (OSError, ValueError):
        return 0.0
