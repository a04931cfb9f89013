"""`python -m service.demo FOLDER`: build the demo database there; prints its file of questions."""

import sys
from pathlib import Path

from service.demo import build_demo, questions_path
from service.errors import VeriSQLError


def main(folder: str) -> int:
    """0, or 1 with the reason on standard error."""
    try:
        build_demo(Path(folder))
    except VeriSQLError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write(f"{questions_path()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]) if len(sys.argv) == 2 else "usage: service.demo FOLDER")
