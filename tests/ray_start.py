"""`ray start` as a busy machine can bear it.

Ray gives its daemon 30 s to start, its dashboard starts a dozen processes of which these tests need
the two that take jobs, and nobody needs the server of Ray Client.
"""

import sys
import time
from types import SimpleNamespace
from typing import Any

import ray._private.node as node
import ray._private.services as services
from ray._private.ray_constants import PROCESS_TYPE_DASHBOARD
from ray.scripts.scripts import main

_SLOWER = 30

_start_ray_process = services.start_ray_process


def _start_lean(command: list[str], process_type: str, *rest: Any, **more: Any) -> Any:
    lean = ["--modules-to-load=JobHead,NodeHead"] if process_type == PROCESS_TYPE_DASHBOARD else []
    return _start_ray_process([*command, *lean], process_type, *rest, **more)


if __name__ == "__main__":
    slow = {"monotonic": lambda: time.monotonic() / _SLOWER}
    node.time = SimpleNamespace(**(vars(time) | slow))  # type: ignore[assignment]
    services.start_ray_process = _start_lean
    node.Node.start_ray_client_server = lambda self: None  # type: ignore[method-assign]
    sys.argv[0] = "ray"
    main()
