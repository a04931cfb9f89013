"""The Kubernetes launcher over real HTTP against the double: faults, rights, repeated calls."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import LauncherRefused, Unavailable
from service.jobs.launchers.base import Handle, Placement, Probe
from service.jobs.launchers.kubernetes import client
from service.jobs.launchers.kubernetes.launcher import KubernetesLauncher
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.resources import Resources
from service.jobs.rundir import RunDir
from service.jobs.spec import JobSpec, RunRequest
from tests.fixtures_jobs import placement
from tests.kubernetes_double.refusals import Refused, conflict
from tests.kubernetes_double.server import ApiServer, serving

TWO_NODES = Resources(nodes=2)


class World:
    """A cluster without a kubelet, one run, a launcher."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self.api = api
        self.cluster = api.cluster
        self.folder = folder
        self.kubeconfig = api.kubeconfig(folder / "kubeconfig")
        self.run = placement(folder / "run")
        self.name = self.run.launch_name

    def launcher(self, **settings: Any) -> KubernetesLauncher:
        """As a service that was started anew has it."""
        volumes = f"home:{self.folder}"
        usual: dict[str, Any] = {"image": "i", "volumes": volumes, "poll_s": 0, "timeout_s": 30}
        return KubernetesLauncher(
            KubernetesOptions(**{"config": self.kubeconfig, **usual, **settings})
        )

    def submit(self, run: Placement | None = None, **settings: Any) -> Handle | None:
        return asyncio.run(self.launcher(**settings).submit(run or self.run))

    def poll(self, run: Placement | None = None, handle: Handle | None = None) -> Probe:
        return asyncio.run(self.launcher().poll(run or self.run, handle))

    def cancel(self, *, force: bool, run: Placement | None = None) -> None:
        asyncio.run(self.launcher().cancel(run or self.run, None, force=force))

    def logs(self, max_bytes: int = 1000) -> str:
        return asyncio.run(self.launcher().logs(self.run, None, max_bytes=max_bytes))

    def pod(self) -> str:
        return str(self.cluster.pods(self.name)[0]["metadata"]["name"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving() as api:
        yield World(api, tmp_path)


FAULTS = {
    "no answer": "down",
    "429": Refused(429, "TooManyRequests", "too many requests", Retry_After="7"),
    "500": Refused(500, "InternalError", "etcd: no leader"),
    "503": Refused(503, "ServiceUnavailable", "starting"),
    "504": Refused(504, "Timeout", "timed out"),
    "conflict": conflict("jobs", "x", "the object has been modified"),
    "quota": Refused(403, "Forbidden", 'jobs.batch "x" is forbidden: exceeded quota: gpus'),
}
CALLS: dict[str, Callable[[World], object]] = {
    "submit": lambda w: w.submit(),
    "poll": lambda w: w.poll(),
    "cancel": lambda w: w.cancel(force=False),
    "force": lambda w: w.cancel(force=True),
    "logs": lambda w: w.logs(),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_survives_a_server_that_does_not_answer(world: World, call: str) -> None:
    world.api.faults.append("down")
    with pytest.raises(Unavailable, match="cannot be reached"):
        CALLS[call](world)
    CALLS[call](world)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "conflict"])
def test_a_fault_that_passes_is_asked_again_later(world: World, fault: str) -> None:
    world.api.faults.append(FAULTS[fault])
    with pytest.raises(Unavailable) as refused:
        world.submit()
    assert refused.value.retry_after_s == (7 if fault == "429" else 5)
    assert len(world.cluster.pods()) == 0
    assert world.submit() is not None
    assert len(world.cluster.pods()) == 1


def test_a_conflict_on_deleting_is_asked_again(world: World) -> None:
    world.submit()
    world.api.faults += [0, FAULTS["conflict"]]
    with pytest.raises(Unavailable, match="has been modified"):
        world.cancel(force=False)
    world.cancel(force=True)
    assert world.cluster.things["jobs"] == {}


def test_a_submit_that_was_done_but_not_answered_is_found_again(world: World) -> None:
    handle = world.submit()
    world.api.faults.append("down")
    with pytest.raises(Unavailable):
        world.submit()
    assert world.submit() == handle
    assert len(world.cluster.pods()) == 1


def test_a_slow_server_holds_nobody_up(world: World) -> None:
    launcher = world.launcher(timeout_s=0.5)

    async def main() -> float:
        await launcher.poll(world.run, None)  # The library is loaded.
        world.api.faults.append(5.0)
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await launcher.poll(world.run, None)
        return time.monotonic() - started

    assert asyncio.run(main()) < 4


def test_a_server_that_is_not_there_is_unavailable(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        world.kubeconfig = world.api.kubeconfig(world.folder / "other", url=url)
        with pytest.raises(Unavailable, match="cannot be reached"):
            world.submit()


def test_a_program_for_credentials_that_hangs_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_CONNECT_S", 0.5)
    program = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    program |= {"command": "sleep", "args": ["5"]}
    content = yaml.safe_load(world.kubeconfig.read_text())
    content["users"][0]["user"] = {"exec": program}
    world.kubeconfig.write_text(yaml.safe_dump(content))
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be reached"):
            world.submit()


def test_something_else_that_answers_is_no_api_server(world: World) -> None:
    world.api.faults.append(b"<html>please log in</html>")
    with pytest.raises(Unavailable, match="please log in"):
        world.poll()


def test_renewed_credentials_are_read_again(world: World) -> None:
    launcher = world.launcher()

    async def main() -> Handle | None:
        world.api.token = "renewed"
        with pytest.raises(Unavailable, match="401"):
            await launcher.submit(world.run)
        world.api.kubeconfig(world.kubeconfig)
        return await launcher.submit(world.run)

    assert asyncio.run(main()) is not None


def test_without_a_way_to_a_cluster_it_is_said_what_to_set(world: World) -> None:
    for path in (world.folder / "missing", world.folder / "empty"):
        world.kubeconfig = path
        with pytest.raises(LauncherRefused, match="VERISQL_KUBERNETES_CONFIG"):
            world.submit()
        (world.folder / "empty").touch()


def test_a_missing_right_is_named(world: World) -> None:
    world.api.rights = {("batch", "jobs", "get")}
    with pytest.raises(LauncherRefused, match='cannot create resource "jobs" in API group "batch"'):
        world.submit()
    with pytest.raises(LauncherRefused, match="grants what is needed"):
        world.logs()


def test_a_namespace_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(LauncherRefused, match='namespaces "elsewhere" not found'):
        world.submit(namespace="elsewhere")


def test_what_the_server_finds_invalid_is_refused_with_its_words(world: World) -> None:
    with pytest.raises(LauncherRefused, match="is not a DNS label"):
        world.submit(replace(world.run, job_id="x" * 60))


def test_another_job_of_the_same_name_is_left_alone(world: World) -> None:
    world.submit()
    world.cluster.things["jobs"][world.name]["metadata"]["labels"]["verisql/job"] = "another"
    with pytest.raises(LauncherRefused, match="delete it, or use another namespace"):
        world.submit()
    world.cancel(force=True)
    assert world.name in world.cluster.things["jobs"]


def test_changed_settings_do_not_launch_a_run_twice(world: World) -> None:
    first = world.submit()
    assert world.submit(image="newer", keep_s=1) == first
    assert len(world.cluster.pods()) == 1


def test_a_launch_that_died_between_job_and_service_is_completed(world: World) -> None:
    run = replace(world.run, resources=TWO_NODES)
    world.api.faults += [0, FAULTS["500"]]
    with pytest.raises(Unavailable):
        world.submit(run)
    assert world.poll(run) == Probe("absent")
    handle = world.submit(run)
    probe = world.poll(run)
    assert (probe.state, probe.handle) == ("pending", handle)
    assert len(world.cluster.pods()) == 2
    assert list(world.cluster.things["services"]) == [world.name]


def test_whatever_removes_the_job_removes_its_name_too(world: World) -> None:
    run = replace(world.run, resources=TWO_NODES)
    world.submit(run)
    world.cancel(force=True, run=run)
    assert world.cluster.things == {"jobs": {}, "pods": {}, "services": {}}


def test_cancel_gives_the_pods_their_grace_and_force_does_not(world: World) -> None:
    world.submit()
    world.cluster.start(world.pod())
    world.cancel(force=False)
    world.cancel(force=False)
    assert "deletionTimestamp" in world.cluster.pods()[0]["metadata"]
    assert world.poll().state == "running"
    world.cancel(force=True)
    assert world.cluster.things["pods"] == {}
    assert (world.poll().state, world.poll().reason) == ("exited", "its Job is gone")


def test_an_ended_job_is_kept_with_its_logs(world: World) -> None:
    world.submit()
    pod = world.pod()
    world.cluster.start(pod)
    world.cluster.logs[pod] = b"first\n" * 5000 + "die Größe\n".encode()
    world.cluster.finish(pod, 3)
    world.cancel(force=True)
    assert world.poll().exit_code == 3
    assert world.logs(16).endswith("die Größe")
    assert len(world.logs(6).encode()) <= 6


def test_logs_of_a_container_that_has_not_started_are_empty(world: World) -> None:
    world.submit()
    assert world.logs() == ""


def test_logs_of_a_job_that_is_gone_are_those_in_its_folder(world: World) -> None:
    RunDir(world.run.run_dir).log_path.write_text("boom\n")
    assert world.logs() == "boom"


def test_preemption_is_told_from_failure(world: World) -> None:
    world.submit()
    world.cluster.start(world.pod())
    world.cluster.disrupt(world.pod(), "PreemptionByScheduler", "for another")
    probe = world.poll()
    assert (probe.state, probe.preempted) == ("exited", True)
    assert world.poll(replace(world.run, attempt=1)) == Probe("absent")


def test_a_jobs_deadline_is_the_clusters_too_but_later(world: World) -> None:
    spec = {"base_model": "m", "train_data": "demo", "deadline_s": 100}
    request = RunRequest(
        job_id=world.run.job_id,
        spec=JobSpec.model_validate(spec),
        base_model_path=world.folder,
        train_data_path=world.folder,
        data_dirs=[],
    )
    RunDir(world.run.run_dir).create(request)
    world.submit()
    assert world.cluster.things["jobs"][world.name]["spec"]["activeDeadlineSeconds"] == 180


def test_looks_are_no_more_frequent_than_set_unless_something_was_done(world: World) -> None:
    launcher = world.launcher(poll_s=60)

    async def main() -> list[str]:
        handle = await launcher.submit(world.run)
        states = [(await launcher.poll(world.run, handle)).state]
        world.cluster.start(world.pod())
        before = len(world.api.asked)
        states.append((await launcher.poll(world.run, handle)).state)
        assert len(world.api.asked) == before
        await launcher.cancel(world.run, handle, force=False)
        return [*states, (await launcher.poll(world.run, handle)).state]

    assert asyncio.run(main()) == ["pending", "pending", "running"]


def test_many_calls_at_once_are_one_launch(world: World) -> None:
    async def main() -> list[Handle | None]:
        launcher = world.launcher()
        return await asyncio.gather(*(launcher.submit(world.run) for _ in range(16)))

    handles = asyncio.run(main())
    assert all(handle == handles[0] for handle in handles)
    assert len(world.cluster.pods()) == 1
