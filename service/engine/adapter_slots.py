"""Keep the last adapter slot of a vLLM on the CPU empty.

vLLM 0.32 marks tokens of the base model with slot -1. Its GPU kernels leave those out; the CPU's
(`vllm/lora/ops/torch_ops/lora_ops.py`) take -1 as an index, which is the last slot: a request to
the base model that shares a step with one to an adapter gets the last slot's adapter added. Slots
are filled from the first on, and the least recently used one is given up when all are full. So when
only the last slot is left, an adapter of zeros goes there, and is used just before each load.
"""

from dataclasses import dataclass, field
from pathlib import Path

from service.engine.base import EngineModel, Sampling
from service.engine.client import EngineClient

_NAME = "no-adapter"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass
class LastSlot:
    """The guard of one server with that many slots; `folder` is where the zeros are written."""

    slots: int
    folder: Path
    _loads: int = field(default=0, init=False)

    def restarted(self) -> None:
        """All slots are empty again."""
        self._loads = 0

    async def before(self, client: EngineClient, folder: Path) -> None:
        """Another adapter is about to take a slot; raises EngineUnavailable, EngineTimeout."""
        if self._loads == self.slots - 1:
            write_zeros(folder, self.folder)
            body = {"lora_name": _NAME, "lora_path": str(self.folder)}
            await client.post("/v1/load_lora_adapter", body, 60)
            self._loads += 1
        if self._loads >= self.slots:
            hi = [{"role": "user", "content": "SELECT 1"}]
            await client.complete(EngineModel("", adapter=_NAME), hi, Sampling(max_tokens=1))
        self._loads += 1


def write_zeros(like: Path, folder: Path) -> None:
    """An adapter of the same shapes that changes nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_bytes((like / _CONFIG).read_bytes())
    with (like / _WEIGHTS).open("rb") as source, (folder / _WEIGHTS).open("wb") as out:
        length = source.read(8)
        header = source.read(int.from_bytes(length, "little"))
        out.write(length + header)
        out.truncate((like / _WEIGHTS).stat().st_size)  # what is not written reads as zero
