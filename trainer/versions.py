"""Which packages a run is made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("verisql", "torch", "transformers", "trl", "peft", "accelerate", "vllm")


def versions() -> dict[str, str]:
    """By name, Python first; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
