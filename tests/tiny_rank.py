"""A node's part of a run that meets the others: rank 0 waits at its port, the others call there.

python tiny_rank.py NODES [linger] --run-dir DIR --node-rank N --main-address HOST --main-port PORT
"""

import argparse
import os
import socket
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("nodes", type=int)
parser.add_argument("linger", nargs="?")
parser.add_argument("--run-dir", type=Path)
parser.add_argument("--node-rank", type=int)
parser.add_argument("--main-address")
parser.add_argument("--main-port", type=int)
given = parser.parse_args()
address = (given.main_address, given.main_port)

with (given.run_dir / "starts").open("a") as file:
    file.write(f"{os.getpid()}\n")
if given.node_rank == 0:
    with socket.create_server(address) as server:
        server.settimeout(60)
        for _ in range(given.nodes - 1):
            with server.accept()[0] as other:
                other.sendall(b"welcome")
else:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(address) as first:
                greeted = first.recv(100)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    (given.run_dir / f"greeted-{given.node_rank}").write_bytes(greeted)
print(f"node {given.node_rank} of {given.nodes}", flush=True)  # noqa: T201
(given.run_dir / "waiting").touch()
while given.linger:
    time.sleep(0.1)
