"""A service's jobs and nothing else of it, to be killed: python supervisor_process.py FOLDER"""

import asyncio
import sys
from pathlib import Path

from tests.fixtures_jobs import launcher, store_at, supervisor_over


async def main(folder: Path) -> None:
    """Look after the jobs of that folder until the process is killed."""
    store = store_at(folder)
    await store.open()
    supervisor = supervisor_over(store, folder, launcher(*sys.argv[2:]), lease_s=0.5)
    await supervisor.start()
    print("ready", flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
