"""What the Ray launcher does beside the contract, on a real cluster: waiting, loss, many nodes."""

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from service.errors import Unavailable, VeriSQLError
from service.jobs.launchers.base import Launcher, Probe
from service.jobs.launchers.ray.launcher import RayLauncher
from service.jobs.launchers.ray.submission import Program
from service.jobs.rundir import RunDir
from tests.fixtures_jobs import starts, submitted
from tests.fixtures_ray import ROOT, RayCluster, RayPlace

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + RayPlace.patience_s
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"still {seen}"
        await asyncio.sleep(0.1)
    return seen


async def until_state(launcher: Launcher, place: RayPlace, state: str) -> Probe:
    run = place.placement()
    return await until(lambda: launcher.poll(run, None), lambda probe: probe.state == state)


async def until_waiting_for(launcher: Launcher, place: RayPlace, words: str) -> Probe:
    run = place.placement()
    return await until(lambda: launcher.poll(run, None), lambda p: words in (p.reason or ""))


async def until_working(place: RayPlace) -> int:
    """The trainer is at its act `wait`; gives its process id."""

    async def there() -> bool:
        return (place.placement().run_dir / "waiting").exists()

    await until(there, bool)
    return starts(place.placement().run_dir)[-1]


async def until_gone(pid: int) -> None:
    async def gone() -> bool:
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"

    await until(gone, bool)


def test_machines_that_are_not_there_are_waited_for_until_a_cancel(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    place = RayPlace(ray_cluster, tmp_path / "run", gpus_per_node=1)
    run = place.placement()

    async def main() -> tuple[Probe, Probe]:
        async with place.launcher("succeed") as launcher:
            await submitted(launcher, run)
            pending = await until_waiting_for(launcher, place, "GPU")
            await launcher.cancel(run, None, force=False)
            return pending, await until_state(launcher, place, "exited")

    pending, ended = asyncio.run(main())
    assert pending.state == "pending"
    assert pending.reason == (
        "waits for 1 nodes with 1 CPU, 1 GPU, 1.0 GB memory; free: 2 CPU, 0 GPU, 64.0 GB memory"
    )
    assert (ended.exit_code, ended.preempted) == (None, False)
    assert starts(run.run_dir) == []


def test_a_run_waits_until_an_earlier_trainer_has_left_its_folder(ray_place: RayPlace) -> None:
    run = ray_place.placement(attempt=1)

    async def main() -> Probe:
        async with ray_place.launcher("succeed") as launcher:
            with RunDir(run.run_dir).lock_path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                await submitted(launcher, run)
                seen = await until(
                    lambda: launcher.poll(run, None),
                    lambda p: p.reason == "another trainer still works in the run's folder",
                )
                assert seen.state == "pending"
                assert starts(run.run_dir) == []
            return await until(lambda: launcher.poll(run, None), lambda p: p.state == "exited")

    assert asyncio.run(main()).exit_code == 0


@pytest.mark.parametrize("lost", ["ray::NodePart", "ray::JobSupervisor"])
def test_a_machine_that_is_lost_makes_the_run_preempted_and_takes_the_trainer_along(
    ray_place: RayPlace, lost: str
) -> None:
    run = ray_place.placement()

    async def main() -> Probe:
        async with ray_place.launcher("ignore", "wait") as launcher:
            await submitted(launcher, run)
            trainer = await until_working(ray_place)
            for process in _answering_for(ray_place, lost):
                process.kill()
            probe = await until_state(launcher, ray_place, "exited")
            await until_gone(trainer)
        return probe

    probe = asyncio.run(main())
    assert probe.preempted
    assert probe.reason


def _answering_for(place: RayPlace, name: str) -> list[psutil.Process]:
    """Ray's processes of that kind: on this cluster only this run has any that live."""
    found = [p for p in place.cluster.processes() if name in " ".join(p.cmdline())]
    assert found, [" ".join(p.cmdline())[:80] for p in place.cluster.processes()]
    return found


def test_a_trainer_that_is_killed_is_not_preempted(ray_place: RayPlace) -> None:
    run = ray_place.placement()

    async def main() -> Probe:
        async with ray_place.launcher("wait") as launcher:
            await submitted(launcher, run)
            os.kill(await until_working(ray_place), 9)
            return await until_state(launcher, ray_place, "exited")

    probe = asyncio.run(main())
    assert (probe.exit_code, probe.preempted) == (-9, False)


def test_a_command_that_is_not_there_is_said(ray_place: RayPlace) -> None:
    run = ray_place.placement()

    async def main() -> tuple[Probe, str]:
        program = Program("/nowhere/python", ["/nowhere/python"], {}, stop_s=5)
        launcher = RayLauncher(ray_place.cluster.jobs(), program)
        await submitted(launcher, run)
        probe = await until_state(launcher, ray_place, "exited")
        said = await launcher.logs(run, None, max_bytes=2000)
        await launcher.close()
        return probe, said

    probe, said = asyncio.run(main())
    assert (probe.exit_code, probe.preempted) == (127, False)
    assert "/nowhere/python" in (probe.reason or "")
    assert "/nowhere/python" in said


def test_a_wrong_token_is_named(ray_place: RayPlace) -> None:
    async def main(token: str | None) -> None:
        program = Program("python", ["python"], {}, stop_s=5)
        launcher = RayLauncher(ray_place.cluster.jobs(token), program)
        try:
            await launcher.submit(ray_place.placement())
        finally:
            await launcher.close()

    for token in (None, "wrong"):
        with pytest.raises(Unavailable, match="VERISQL_RAY_TOKEN") as refused:
            asyncio.run(main(token))
        assert refused.value.retry_after_s


def test_what_ray_never_accepts_fails_the_job(ray_place: RayPlace) -> None:
    async def main() -> None:
        jobs = ray_place.cluster.jobs()
        try:
            await jobs.submit({"entrypoint": 7})
        finally:
            await jobs.close()

    with pytest.raises(VeriSQLError, match="entrypoint must be a string") as refused:
        asyncio.run(main())
    assert not isinstance(refused.value, Unavailable)


def test_nodes_are_numbered_and_find_the_first_one(ray_cluster: RayCluster, tmp_path: Path) -> None:
    ray_cluster.add_node()
    place = RayPlace(ray_cluster, tmp_path / "run", nodes=2)
    run = place.placement()

    async def main(*words: str) -> Probe:
        command = [sys.executable, str(ROOT / "tests/tiny_rank.py"), *words]
        program = Program(sys.executable, command, {}, stop_s=5)
        launcher = RayLauncher(ray_cluster.jobs(), program)
        await submitted(launcher, run)
        if "linger" in words:
            await until_working(place)
            await launcher.cancel(run, None, force=True)
        probe = await until_state(launcher, place, "exited")
        await launcher.close()
        return probe

    assert asyncio.run(main("2")).exit_code == 0
    assert (run.run_dir / "greeted-1").read_text() == "welcome"
    assert RunDir(run.run_dir).log_tail() == "node 0 of 2"
    assert (run.run_dir / "node-1.log").read_text() == "node 1 of 2\n"


def test_ray_dies_and_comes_back_knowing_nothing(ray_place: RayPlace) -> None:
    run = ray_place.placement()
    again = replace(run, attempt=1)

    async def before() -> int:
        async with ray_place.launcher("ignore", "wait") as launcher:
            await submitted(launcher, run)
            trainer = await until_working(ray_place)
            await until_state(launcher, ray_place, "running")
            ray_place.cluster.die()
            for _ in range(2):
                with pytest.raises(Unavailable, match="cannot be reached"):
                    await launcher.poll(run, None)
        return trainer

    async def after() -> tuple[Probe, Probe, Probe]:
        async with ray_place.launcher("succeed") as launcher:
            with RunDir(run.run_dir).lock_path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                alive = await launcher.poll(run, None)
            lost = await launcher.poll(run, None)
            await launcher.submit(run)
            assert await launcher.poll(run, None) == lost
            await submitted(launcher, again)
            done = await until(lambda: launcher.poll(again, None), lambda p: p.state == "exited")
        return alive, lost, done

    asyncio.run(until_gone(asyncio.run(before())))
    ray_place.cluster.start()
    alive, lost, done = asyncio.run(after())
    assert (alive.state, lost.state, lost.preempted) == ("running", "exited", True)
    assert "started anew" in (lost.reason or "")
    assert done.exit_code == 0
    assert len(starts(run.run_dir)) == 2
