"""The header of a safetensors file: names, types and shapes, without reading the weights.

Format: https://huggingface.co/docs/safetensors: 8 bytes of length, that many bytes of JSON, data.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGEST_HEADER = 100_000_000  # bytes; the format's own bound
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}
_HIGHEST = {"F32": (4, 0x45), "BF16": (2, 0x45), "F16": (2, 0x68)}
"""Bytes of a number, and the highest of them, without sign, from 2048 on."""
_BYTES |= {"BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}


class BadTensors(ValueError):
    """The file is not whole, or no safetensors file; the message says where."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Where its data starts in the file."""
    size: int
    """Bytes of data, numbers little-endian."""


def read_header(path: Path) -> dict[str, Tensor]:
    """Every tensor by name; raises BadTensors, OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise BadTensors(f"{path.name} is no safetensors file, or cut off")
        entries = _json(path, file.read(length))
    entries.pop("__metadata__", None)
    start = 8 + length
    tensors = {name: _tensor(path, name, entry, start) for name, entry in entries.items()}
    end = max((tensor.begin + tensor.size for tensor in tensors.values()), default=start)
    if end != size:
        raise BadTensors(f"{path.name} has {size} bytes, its header says {end}")
    return tensors


def tensors_sha256(folder: Path) -> str:
    """One hash over name, type, shape and data of every tensor in a folder's safetensors files.

    How they are spread over files, and in which order, makes no difference. Raises BadTensors,
    OSError.
    """
    lines = []
    for path in folder.glob("*.safetensors"):
        tensors = read_header(path)
        with path.open("rb") as file:
            for name, tensor in tensors.items():
                file.seek(tensor.begin)
                data = hashlib.sha256(file.read(tensor.size)).hexdigest()
                lines.append(f"{name} {tensor.dtype} {list(tensor.shape)} {data}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def outsized(path: Path, tensors: Mapping[str, Tensor]) -> str | None:
    """The name of a tensor that holds a number of 2048 or more, an infinity or a NaN; else None.

    Of F32, F16 and BF16: the highest byte of a number tells, so numbers need not be made of them.
    Raises OSError.
    """
    with path.open("rb") as file:
        for name, tensor in tensors.items():
            file.seek(tensor.begin)
            step, least = _HIGHEST[tensor.dtype]
            highest = file.read(tensor.size)[step - 1 :: step]
            if b"!" in highest.translate(_marks(least)):
                return name
    return None


def _marks(least: int) -> bytes:
    """A table that turns a byte into "!" if it is `least` or more without its sign."""
    return bytes(ord("!") if byte & 0x7F >= least else 0 for byte in range(256))


def _json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadTensors(f"{path.name} has no readable header")
    return found


def _tensor(path: Path, name: str, entry: Any, start: int) -> Tensor:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
        begin, end = (int(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadTensors(f"{path.name}: {name[:200]} is described wrongly") from error
    whole = _BYTES.get(dtype, 0) * math.prod(shape)
    if (
        min(shape, default=0) < 0
        or not 0 <= begin <= end
        or (dtype in _BYTES and end - begin != whole)
    ):
        raise BadTensors(f"{path.name}: {name[:200]} has the wrong size")
    return Tensor(dtype, shape, start + begin, end - begin)
