"""One suite for every launcher: what service/jobs/launchers/base.py promises.

Real trainers (tiny_trainer.py) in real places. A launcher joins with a name in PLACES and a fixture
`NAME_place` (launcher_places.Place), from a module in conftest's `pytest_plugins`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from service.jobs.launchers.base import Handle, Launcher, Placement, Probe
from service.jobs.rundir import RunDir
from tests.fixtures_jobs import starts, submitted
from tests.launcher_places import Place

PLACES = ("local", "ray", "kubernetes")
T = TypeVar("T")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


def under(place: Place, act: Callable[[Launcher], Coroutine[Any, Any, T]], *acts: str) -> T:
    """One life of the service: a new launcher in a new loop."""

    async def main() -> T:
        async with place.launcher(*acts) as launcher:
            return await act(launcher)

    return asyncio.run(main())


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], place: Place) -> T:
    deadline = time.monotonic() + place.patience_s
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"after {place.patience_s:g} s still {seen}"
        await asyncio.sleep(0.05)
    return seen


async def until_exited(
    launcher: Launcher, place: Place, handle: Handle | None, run: Placement | None = None
) -> Probe:
    run = run or place.placement()
    return await until(lambda: launcher.poll(run, handle), lambda p: p.state == "exited", place)


async def until_working(place: Place) -> None:
    """The trainer has come to its act `wait`."""

    async def there() -> bool:
        return (place.placement().run_dir / "waiting").exists()

    await until(there, bool, place)


def test_what_was_never_launched_is_absent_and_can_be_cancelled(place: Place) -> None:
    run = place.placement()

    async def act(launcher: Launcher) -> tuple[Probe, str]:
        for force in (False, True, True):
            await launcher.cancel(run, None, force=force)
        return await launcher.poll(run, None), await launcher.logs(run, None, max_bytes=1000)

    assert under(place, act) == (Probe("absent"), "")


def test_a_run_goes_through_its_life_to_its_end(place: Place) -> None:
    run, seen = place.placement(), list[Probe]()

    async def act(launcher: Launcher) -> Probe:
        handle = await submitted(launcher, run)

        async def look() -> Probe:
            seen.append(await launcher.poll(run, handle))
            return seen[-1]

        last = await until(look, lambda probe: probe.state == "exited", place)
        again = await launcher.poll(run, None)
        assert (again.state, again.handle) == ("exited", last.handle)
        return last

    last = under(place, act, "train", "succeed")
    assert (last.exit_code, last.preempted) == (0, False)
    order = ["pending", "running", "exited"]
    states = [probe.state for probe in seen]
    assert states == sorted(states, key=order.index)
    status = RunDir(run.run_dir).status()
    assert status is not None
    assert status.state == "succeeded"


def test_exit_code_and_last_words_of_a_trainer_that_died_are_known(place: Place) -> None:
    run = place.placement()

    async def act(launcher: Launcher) -> tuple[Probe, str, str]:
        handle = await submitted(launcher, run)
        probe = await until_exited(launcher, place, handle)
        whole = await launcher.logs(run, handle, max_bytes=10_000)
        return probe, whole, await launcher.logs(run, None, max_bytes=4)

    probe, whole, end = under(place, act, "crash")
    assert (probe.exit_code, probe.preempted) == (3, False)
    assert "boom: no such tensor" in whole
    assert len(end.encode()) <= 4


def test_repeated_and_simultaneous_submits_start_one_trainer(place: Place) -> None:
    run = place.placement()

    async def act(launcher: Launcher) -> tuple[Handle | None, Handle | None]:
        async with place.launcher("heed", "wait") as other:
            await asyncio.gather(
                *(submitted(one, run) for one in (launcher, other, launcher, other))
            )
            await until_working(place)
            handles = (
                await submitted(launcher, run),
                await submitted(other, run),
            )
            await launcher.cancel(run, None, force=False)
            await until_exited(other, place, None)
        return handles

    first, second = under(place, act, "heed", "wait")
    assert first == second is not None
    assert len(starts(run.run_dir)) == 1


def test_a_service_that_was_started_anew_finds_the_run_without_its_handle(place: Place) -> None:
    run = place.placement()

    async def begin(launcher: Launcher) -> Handle | None:
        handle = await submitted(launcher, run)
        await until_working(place)
        return handle

    async def go_on(launcher: Launcher) -> tuple[Probe, Probe]:
        found = await until(
            lambda: launcher.poll(run, None), lambda probe: probe.state == "running", place
        )
        await submitted(launcher, run)
        await launcher.cancel(run, None, force=False)
        return found, await until_exited(launcher, place, None)

    handle = under(place, begin, "heed", "wait")
    found, gone = under(place, go_on, "heed", "wait")
    assert found.handle == handle
    assert (gone.state, gone.preempted) == ("exited", False)
    assert len(starts(run.run_dir)) == 1
    status = RunDir(run.run_dir).status()
    assert status is not None
    assert status.state == "cancelled"  # It had time for its last words.


def test_cancel_asks_first_and_kills_only_by_force(place: Place) -> None:
    run = place.placement()

    async def act(launcher: Launcher) -> Probe:
        handle = await submitted(launcher, run)
        await until_working(place)
        await launcher.cancel(run, handle, force=False)
        await asyncio.sleep(1)
        assert (await launcher.poll(run, handle)).state == "running"
        await launcher.cancel(run, handle, force=True)
        probe = await until_exited(launcher, place, handle)
        for force in (False, True, True):
            await launcher.cancel(run, handle, force=force)
        return probe

    probe = under(place, act, "ignore", "wait")
    assert probe.exit_code in (-9, None)
    assert not probe.preempted


def test_another_attempt_is_a_launch_of_its_own(place: Place) -> None:
    first, second = place.placement(0), place.placement(1)

    async def act(launcher: Launcher) -> tuple[Probe, Probe, Probe]:
        old = await submitted(launcher, first)
        await until_exited(launcher, place, old, first)
        before = await launcher.poll(second, None)
        deceived = await launcher.poll(second, old)
        await submitted(launcher, second)
        return before, deceived, await until_exited(launcher, place, None, second)

    before, deceived, ended = under(place, act, "crash")
    assert before == deceived == Probe("absent")
    assert ended.exit_code == 3
    assert len(starts(first.run_dir)) == 2
