"""Loads every module of the installed service; `make test-core` runs it without torch and vllm.

Fails if a module needs more than the core's packages, or if what the package ships is missing.
"""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from importlib.resources import files

import service

HEAVY = ("torch", "transformers", "vllm", "trl", "peft", "datasets", "huggingface_hub")


def main() -> None:
    present = [name for name in HEAVY if importlib.util.find_spec(name)]
    assert not present, f"the core alone has {present} installed"
    names = [m.name for m in pkgutil.walk_packages(service.__path__, "service.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    assert (files("service.demo") / "questions.json").is_file()
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="verisql")
    entry.load()
    sys.stdout.write(f"{len(names)} modules of the core load; verisql is there\n")


if __name__ == "__main__":
    main()
