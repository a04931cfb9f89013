"""Start this node's part of a run: python -m trainer.scale --run-dir DIR [--node-rank N ...]

The process becomes the command (exec), so that signals and the exit code are the command's own.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from service.jobs.rundir import RunDir
from trainer.scale.launch import MAIN_PORT, Launch, Node, launch


def main(arguments: Sequence[str] | None = None) -> None:
    """Read job.json, then become the node's command, or print it."""
    parser = argparse.ArgumentParser(prog="python -m trainer.scale", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True, help="folder with job.json")
    parser.add_argument("--node-rank", type=int, default=0, help="0 to nodes - 1")
    parser.add_argument("--main-address", default="127.0.0.1", help="of node 0")
    parser.add_argument("--main-port", type=int, default=MAIN_PORT, help="on node 0")
    parser.add_argument("--print", action="store_true", help="print the command, start nothing")
    given = parser.parse_args(arguments)
    run = RunDir(given.run_dir.resolve())
    node = Node(given.node_rank, given.main_address, given.main_port)
    found = launch(run.request(), run.path, node)
    if given.print:
        sys.stdout.write(_shell(found) + "\n")
        return
    environment = os.environ | found.environment
    os.execvpe(found.command[0], found.command, environment)  # noqa: S606 - no shell is wanted.


def _shell(found: Launch) -> str:
    variables = [f"{name}={shlex.quote(value)}" for name, value in found.environment.items()]
    return " ".join([*variables, shlex.join(found.command)])


if __name__ == "__main__":
    main()
