"""`python -m service.models [NAME] [--models-dir DIR]`: prepare a model, progress on screen.

Standard output gets the model's folder, and nothing else.
"""

import argparse
import signal
import sys
from pathlib import Path

from service.errors import VeriSQLError
from service.models.registry import resolve_model
from service.settings import load_settings


def main() -> int:
    """Fetch, convert and merge one model; 0, or 1 with the reason on standard error."""
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="python -m service.models", description=__doc__)
    parser.add_argument("name", nargs="?", help="default: VERISQL_MODEL, if the engine is local")
    parser.add_argument("--models-dir", type=Path, default=settings.models_path)
    args = parser.parse_args()
    # As an exception, so that what was begun is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not args.name and settings.engine != "local":
        _say(f"VERISQL_ENGINE={settings.engine}: none is needed here")
        return 0
    model = resolve_model(args.name or settings.model, args.models_dir, _say)
    _say(f"{model.told} at {model.revision}: {model.path}")
    sys.stdout.write(f"{model.path}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"model: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VeriSQLError as error:
        _say(error.message)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
