"""Memory that hostile answers could cost: in the worker, and in the service that reads them."""

import asyncio
import os
from collections.abc import Iterator

import psutil
import pytest

from service.sandbox.result import QueryResult
from tests.arena import Arena
from tests.attack_sql import ROWS, big_values, doubling, names, sorted_rows
from tests.sandbox_watch import workers

_LONG_S = 120.0
"""What is long gets the lowest priority: a second of work takes half a minute on a busy machine."""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("memory")) as ready:
        yield ready


def _query(arena: Arena, sql: str, *, max_rows: int = 100, max_bytes: int = 2**20) -> QueryResult:
    query = arena.executor.query(
        arena.path, sql, timeout_s=_LONG_S, max_rows=max_rows, max_bytes=max_bytes
    )
    return arena.run(query)


@pytest.mark.parametrize("sql", [sorted_rows(150_000), big_values(5), doubling(14)])
def test_a_worker_gives_back_what_a_large_statement_used(arena: Arena, sql: str) -> None:
    with arena.watch(worker_rss_mb=64):
        _query(arena, sql)
        arena.check_honest()


def test_an_answer_of_any_size_does_not_fill_the_services_memory(arena: Arena) -> None:
    rows = f"{ROWS} LIMIT 400) SELECT printf('%.*c', 150000, 'a') FROM c"
    with arena.watch(rss_growth_mb=48):
        result = _query(arena, rows, max_rows=400, max_bytes=10**9)
        arena.check_honest()
    assert result.status == "infra_error"


def test_names_of_any_length_do_not_fill_the_services_memory(arena: Arena) -> None:
    with arena.watch(rss_growth_mb=48):
        result = _query(arena, names(1000))
        arena.check_honest()
    assert result.status in {"infra_error", "too_large"}


def test_memory_that_ends_outside_a_statement_is_the_statements_doing(arena: Arena) -> None:
    rows = f"{ROWS} LIMIT 3000) SELECT printf('%.*c', 100000, 'a') FROM c"
    with arena.watch(rss_growth_mb=48):
        result = _query(arena, rows, max_rows=3000, max_bytes=10**9)
        arena.check_honest()
    assert result.status in {"exec_error", "too_large"}


def test_a_caller_that_goes_away_amid_a_large_answer_frees_the_worker(arena: Arena) -> None:
    rows = f"{ROWS} LIMIT 200) SELECT printf('%.*c', 100000, 'a') FROM c"

    async def use(pause_s: float) -> None:
        query = arena.executor.query(
            arena.path, rows, timeout_s=_LONG_S, max_rows=200, max_bytes=10**9
        )
        task = asyncio.create_task(query)
        while not arena.executor.busy:
            await asyncio.sleep(0)
        await asyncio.sleep(pause_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with arena.watch():
        for step in range(12):
            arena.run(use(0.05 + step * 0.01))
        arena.check_honest()


def test_workers_gain_no_rights_and_are_the_first_to_go(arena: Arena) -> None:
    arena.rest()
    worker = workers()[0]
    with open(f"/proc/{worker.pid}/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Threads"] == "1"  # SQLite is set up for one (sandbox/engine.py)
    with open(f"/proc/{worker.pid}/oom_score_adj") as file:
        assert file.read() == "1000\n"
    assert worker.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert arena.path.exists()


def test_workers_inherit_no_descriptor_of_the_service(arena: Arena) -> None:
    arena.rest()
    worker = workers()[0]
    mine = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _open(fd)}
    theirs = {os.readlink(f"/proc/{worker.pid}/fd/{fd}") for fd in _descriptors(worker.pid)}
    shared = {
        target
        for target in mine & theirs
        if not target.startswith(("/dev/null", "pipe:", "/memfd:progress"))
    }
    assert not shared
    assert len(_descriptors(worker.pid)) < 12


def _descriptors(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")


def _open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")
