"""A job that has ended, with checkpoints as a trainer leaves them."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest
from service.jobs.store import JobStore
from tests.fixtures_adapters import tiny_adapter
from tests.fixtures_engine import PROMPT_TOKENS
from tests.fixtures_jobs import new_job, queued

DEV = [
    {
        "question_id": number,
        "db_id": "shop",
        "question": f"How many customers of Rome, take {number}?",
        "SQL": "SELECT count(*) FROM customer WHERE city = 'Rome'",
    }
    for number in range(10)
]
RIGHT = "```sql\nSELECT count(id) FROM customer WHERE city = 'Rome'\n```"
WRONG = "```sql\nSELECT count(*) FROM customer\n```"
MANIFEST: dict[str, Any] = {
    "stage": "grpo",
    "seed": 7,
    "base_weights_sha256": "b" * 64,
    "verifier_version": "1",
    "train_data": {"train.json": "d" * 64},
    "dev_data": {"dev.json": "e" * 64},
    "metrics": {"reward": 0.75},
}


def ended_job(home: Path, steps: Sequence[int], *, dev: Path | None = None, **spec: Any) -> Job:
    """A succeeded job in the store below `home`, with an adapter at each step."""
    if dev:
        spec |= {"dev_data": str(dev)}
    home.mkdir(parents=True, exist_ok=True)
    job = asyncio.run(_ended(home, spec))
    run = RunDir(job.run_dir)
    run.path.mkdir(parents=True)
    run.create(
        RunRequest(
            job_id=job.id,
            spec=job.spec,
            base_model_path=home / "model",
            train_data_path=home / "train.json",
            dev_data_path=dev,
            data_dirs=[home],
        )
    )
    for step in steps:
        write_checkpoint(run, step)
    return job


def write_checkpoint(run: RunDir, step: int, logprob: float = -0.5) -> Path:
    """An adapter of its own content, what the trainer recorded, a manifest."""
    folder = tiny_adapter(run.checkpoints_path / f"step_{step}", seed=step)
    (folder / "canary.json").write_text(json.dumps({"items": [recorded(logprob)]}))
    (folder / "manifest.json").write_text(json.dumps({"step": step} | MANIFEST))
    return folder


def recorded(*logprobs: float) -> dict[str, Any]:
    """An item of canary.json as the engine double computes it, if these are -0.5."""
    return {
        "messages": [{"role": "user", "content": "Who?"}],
        "prompt_tokens": list(range(PROMPT_TOKENS)),
        "tokens": list(range(len(logprobs))),
        "logprobs": logprobs,
    }


async def _ended(home: Path, spec: dict[str, Any]) -> Job:
    store = JobStore(f"sqlite+aiosqlite:///{home / 'verisql.db'}")
    await store.open()
    try:
        job = await queued(store, new_job(home, **spec))
        await store.start_next("test", lease_s=60, limit=1000)
        for state in ("running", "succeeded"):
            job = await store.get(job.id)
            ended = {"finished_at": time.time()} if state == "succeeded" else {}
            assert await store.update(job, "test", status=state, **ended)  # type: ignore[misc]
        await store.release("test")
        return await store.get(job.id)
    finally:
        await store.close()
