"""The local launcher, with real processes (tiny_trainer.py)."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from service.errors import NoDiskSpace, Unavailable, VeriSQLError
from service.jobs.launchers.base import Handle, Placement, Probe
from service.jobs.launchers.begin import born
from service.jobs.launchers.local import LocalLauncher, _explained, environment_of_trainer
from service.jobs.rundir import RunDir
from tests.fixtures_jobs import TINY, end_trainers, launcher, placement, starts, until, until_file


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Placement]:
    yield placement(tmp_path / "run")
    end_trainers(tmp_path)


async def until_state(
    launched: LocalLauncher, run: Placement, handle: Handle | None, state: str
) -> Probe:
    return await until(lambda: launched.poll(run, handle), lambda p: p.state == state, state)


def test_a_run_that_was_never_launched_is_absent(run: Placement) -> None:
    assert asyncio.run(launcher().poll(run, None)) == Probe("absent")


def test_a_trainer_runs_to_its_end_and_its_exit_code_is_known(run: Placement) -> None:
    async def main() -> Probe:
        local = launcher("crash")
        handle = await local.submit(run)
        probe = await until_state(local, run, handle, "exited")
        assert await local.poll(run, handle) == probe
        return probe

    assert asyncio.run(main()).exit_code == 3
    assert RunDir(run.run_dir).log_tail() == "boom: no such tensor"


def test_a_second_submit_gives_the_first_process(run: Placement) -> None:
    async def main() -> tuple[Handle | None, Handle | None]:
        local = launcher("heed", "wait")
        first = await local.submit(run)
        await until_file(run.run_dir / "waiting")
        return first, await launcher("heed", "wait").submit(run)

    first, second = asyncio.run(main())
    assert first == second
    assert len(starts(run.run_dir)) == 1


def test_many_submits_at_once_start_one_process(run: Placement) -> None:
    async def main() -> None:
        await asyncio.gather(*(launcher("wait").submit(run) for _ in range(8)))
        await until_file(run.run_dir / "waiting")

    asyncio.run(main())
    assert len(starts(run.run_dir)) == 1


def test_a_run_is_found_again_without_its_handle(run: Placement) -> None:
    async def main() -> tuple[Handle | None, Probe]:
        handle = await launcher("wait").submit(run)
        await until_file(run.run_dir / "waiting")
        return handle, await launcher().poll(run, None)

    handle, probe = asyncio.run(main())
    assert (probe.state, probe.handle) == ("running", handle)


def test_a_trainer_outlives_the_process_that_launched_it(run: Placement) -> None:
    service = (
        "import asyncio, os\n"
        "from tests.fixtures_jobs import launcher, placement\n"
        "from pathlib import Path\n"
        f"asyncio.run(launcher('heed', 'wait').submit(placement(Path({str(run.run_dir)!r}))))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", service], cwd=TINY.parents[1], timeout=30)
    assert done.returncode == -signal.SIGKILL

    async def main() -> tuple[Probe, Probe]:
        await until_file(run.run_dir / "waiting")
        found = await launcher().poll(run, None)
        await launcher().cancel(run, None, force=False)
        return found, await until_state(launcher(), run, None, "exited")

    found, gone = asyncio.run(main())
    assert (found.state, gone.exit_code) == ("running", None)


def test_a_held_lock_without_a_note_is_a_start_under_way(run: Placement) -> None:
    with RunDir(run.run_dir).lock_path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert asyncio.run(launcher().poll(run, None)) == Probe("running")
        assert asyncio.run(launcher().submit(run)) is None
    assert starts(run.run_dir) == []


def test_the_next_attempt_waits_until_the_process_of_the_last_one_is_gone(run: Placement) -> None:
    second = replace(run, attempt=1)

    async def main() -> Probe:
        local = launcher("wait")
        first = await local.submit(run)
        await until_file(run.run_dir / "waiting")
        with pytest.raises(Unavailable, match="attempt 0 still works"):
            await local.submit(second)
        assert await local.poll(second, first) == Probe("absent")
        await local.cancel(second, first, force=True)
        assert (await local.poll(run, first)).state == "running"
        await local.cancel(run, first, force=True)
        await until_state(local, run, first, "exited")
        await launcher("crash").submit(second)
        return await until_state(local, second, None, "exited")

    asyncio.run(main())
    assert len(starts(run.run_dir)) == 2


def test_a_note_without_a_number_is_the_first_attempts(run: Placement) -> None:
    old = {"pid": os.getpid(), "born": born(os.getpid())}
    RunDir(run.run_dir).process_path.write_text(json.dumps(old))
    assert asyncio.run(launcher().poll(run, None)).state == "running"
    assert asyncio.run(launcher().poll(run, old)).state == "running"
    assert asyncio.run(launcher().poll(replace(run, attempt=1), old)) == Probe("absent")


def test_a_process_of_before_a_restart_of_the_machine_was_preempted(run: Placement) -> None:
    before = {"pid": os.getpid(), "born": "another boot:1", "attempt": 0}
    probe = asyncio.run(launcher().poll(run, before))
    assert (probe.state, probe.preempted) == ("exited", True)
    assert probe.reason == "the machine was started anew"


def test_cancel_asks_first_and_kills_only_by_force(run: Placement) -> None:
    async def main() -> Probe:
        local = launcher("ignore", "wait")
        handle = await local.submit(run)
        await until_file(run.run_dir / "waiting")
        await local.cancel(run, handle, force=False)
        assert (await local.poll(run, handle)).state == "running"
        await local.cancel(run, handle, force=True)
        return await until_state(local, run, handle, "exited")

    assert asyncio.run(main()).exit_code == -signal.SIGKILL


def test_cancelling_what_is_gone_succeeds(run: Placement) -> None:
    async def main() -> None:
        local = launcher("crash")
        await local.cancel(run, None, force=True)
        handle = await local.submit(run)
        await until_state(local, run, handle, "exited")
        for force in (False, True, True):
            await local.cancel(run, handle, force=force)

    asyncio.run(main())


def test_force_ends_what_a_dead_trainer_left_behind(run: Placement) -> None:
    async def main() -> int:
        local = launcher("spawn", "crash")
        handle = await local.submit(run)
        await until_state(local, run, handle, "exited")
        child = int((run.run_dir / "child").read_text())
        assert born(child) is not None
        await local.cancel(run, handle, force=True)
        return child

    child = asyncio.run(main())
    _, alive = psutil.wait_procs([p for p in psutil.process_iter() if p.pid == child], timeout=10)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_a_process_id_that_was_given_to_another_is_not_touched(run: Placement) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale = {"pid": other.pid, "born": "another boot:1"}
    RunDir(run.run_dir).process_path.write_text(json.dumps(stale))

    async def main() -> str:
        await launcher().cancel(run, None, force=True)
        return (await launcher().poll(run, stale)).state

    assert asyncio.run(main()) == "exited"
    assert other.poll() is None
    other.communicate(b"\n", timeout=10)


def test_the_trainer_sees_neither_the_services_settings_nor_its_files(run: Placement) -> None:
    files = "sorted(os.listdir('/proc/self/fd'))"
    show = f"import os; print(sorted(os.environ), os.getcwd(), {files})"

    async def main() -> None:
        local = LocalLauncher([sys.executable, "-c", show])
        await until_state(local, run, await local.submit(run), "exited")

    with (run.run_dir / "other").open("w"):
        asyncio.run(main())
    said = RunDir(run.run_dir).log_tail()
    assert "VERISQL" not in said
    assert str(run.run_dir) in said
    assert said.endswith("['0', '1', '2', '3', '4']")  # 3 is the lock, 4 lists the folder.


def test_the_trainer_leads_a_session_of_its_own(run: Placement) -> None:
    async def main() -> int:
        await launcher("wait").submit(run)
        await until_file(run.run_dir / "waiting")
        return starts(run.run_dir)[0]

    pid = asyncio.run(main())
    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_compute_settings_are_kept_and_secrets_are_not() -> None:
    outer = {"PATH": "/bin", "OMP_NUM_THREADS": "1", "VERISQL_API_KEYS": "s", "HF_TOKEN": "s"}
    seen = environment_of_trainer(outer, cpus=64)
    assert (seen["PATH"], seen["OMP_NUM_THREADS"], seen["HF_HUB_OFFLINE"]) == ("/bin", "1", "1")
    assert "s" not in seen.values()


def test_a_program_that_cannot_start_leaves_its_reason_in_the_log(run: Placement) -> None:
    async def main() -> Probe:
        local = LocalLauncher(["/nowhere/python"])
        return await until_state(local, run, await local.submit(run), "exited")

    assert asyncio.run(main()).exit_code == 1
    assert "No such file" in RunDir(run.run_dir).log_tail()


def test_a_missing_folder_and_a_full_disk_are_told_apart(tmp_path: Path) -> None:
    gone = Placement("job_1", tmp_path / "gone", placement(tmp_path).resources)
    with pytest.raises(VeriSQLError, match="gone"):
        asyncio.run(launcher().submit(gone))
    assert isinstance(_explained(OSError(28, "No space left on device"), tmp_path), NoDiskSpace)
