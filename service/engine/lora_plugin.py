"""Put lora_cpu.py where a vLLM of our own finds it: a folder that only that server looks into."""

import sys
from pathlib import Path

from service.engine import lora_cpu

_NAME = "verisql_lora_cpu"


def install(folder: Path) -> None:
    """Write the plugin as a package that is installed in `folder`; raises OSError."""
    about = folder / f"{_NAME}-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (folder / f"{_NAME}.py").write_bytes(Path(lora_cpu.__file__).read_bytes())
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: 1\n")
    entry = f"[vllm.general_plugins]\n{_NAME} = {_NAME}:register\n"
    (about / "entry_points.txt").write_text(entry)


def python_path(folder: Path) -> str:
    """PYTHONPATH for the server: the plugin, and what was put on our own path from outside."""
    ours = (sys.prefix, sys.base_prefix)
    return ":".join([str(folder), *(p for p in sys.path if p and not p.startswith(ours))])
