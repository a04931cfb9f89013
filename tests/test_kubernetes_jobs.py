"""A job through the supervisor in the double's cluster, outages included."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.jobs.again import check_resumable
from service.jobs.job import Job
from service.jobs.launchers.base import Probe
from service.jobs.launchers.kubernetes.launcher import KubernetesLauncher
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.resources import Resources
from service.jobs.rundir import RunDir
from tests.fixtures_jobs import (
    end_trainers,
    new_job,
    placement,
    starts,
    store_at,
    supervisor_over,
    until,
    until_status,
)
from tests.fixtures_supervisor import opened, running
from tests.kubernetes_double.cluster import Cluster
from tests.kubernetes_double.kubelet import ProcessKubelet
from tests.kubernetes_double.server import serving
from tests.kubernetes_place import KubernetesPlace


def test_a_job_is_done_in_the_cluster_though_its_server_is_down_at_times(tmp_path: Path) -> None:
    async def main(place: KubernetesPlace, faults: list[Any]) -> Job:
        store = store_at(tmp_path)
        await store.open()
        job = await store.create(new_job(tmp_path))
        async with place.launcher("train", "until_told", "succeed") as launcher:
            first = supervisor_over(store, tmp_path, launcher, lease_s=0.01)
            await until_status(store, job.id, "running", ticking=first)
        faults += ["down"] * 5
        (job.run_dir / "go").touch()
        async with place.launcher() as launcher:  # The service was started anew.
            second = supervisor_over(store, tmp_path, launcher)
            ended = await until_status(store, job.id, "succeeded", "failed", ticking=second)
        await store.close()
        return ended

    with serving(tmp_path) as api:
        place = KubernetesPlace(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"))
        ended = asyncio.run(main(place, api.faults))
        assert api.faults == []
        assert [p["status"]["phase"] for p in api.cluster.pods()] == ["Succeeded"]
    end_trainers(tmp_path)
    assert (ended.status, ended.error) == ("succeeded", None)
    assert ended.best_checkpoint == 1


def test_a_trainer_that_wants_too_much_memory_fails_its_job_which_is_resumed(
    tmp_path: Path,
) -> None:
    async def main(place: KubernetesPlace, cluster: Cluster) -> tuple[Job, Job]:
        async with opened(tmp_path) as store, place.launcher("heed", "train", "wait") as launcher:
            supervisor = supervisor_over(store, tmp_path, launcher)
            job = await running(store, supervisor, tmp_path, resources={"memory_gb": 3})
            assert isinstance(cluster.kubelet, ProcessKubelet)
            cluster.kubelet.starved.add(cluster.pods()[0]["metadata"]["name"])
            os.kill(starts(job.run_dir)[0], signal.SIGKILL)
            failed = await until_status(store, job.id, "failed", "queued", ticking=supervisor)
            check_resumable(failed)
            assert await store.resume(failed)
            again = await until_status(store, job.id, "running", "failed", ticking=supervisor)
            await store.wish_cancel(job.id)
            await until_status(store, job.id, "cancelled", ticking=supervisor)
            await supervisor.close()
            return failed, again

    with serving(tmp_path) as api:
        place = KubernetesPlace(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"))
        failed, again = asyncio.run(main(place, api.cluster))
    end_trainers(tmp_path)
    assert failed.error
    assert (failed.error.code, failed.error.param) == ("out_of_memory", "resources.memory_gb")
    assert "memory_gb=3 " in failed.error.message
    assert "OOMKilled" in failed.error.message
    assert (failed.attempt, failed.retries_left) == (0, 3)
    assert (again.status, again.attempt) == ("running", 1)


def test_each_node_of_a_run_knows_its_number_and_node_0_writes_the_log(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        options = KubernetesOptions(
            image="i",
            config=api.kubeconfig(tmp_path / "kubeconfig"),
            volumes=f"home:{tmp_path}",
            timeout_s=60,
            poll_s=0,
        )
        command = ["python", "-c", "import sys; print(*sys.argv[1:])"]
        launcher = KubernetesLauncher(options, command=command)
        run = replace(placement(tmp_path / "run"), resources=Resources(nodes=2))

        async def main() -> Probe:
            handle = await launcher.submit(run)
            return await until(
                lambda: launcher.poll(run, handle), lambda p: p.state == "exited", "its end"
            )

        assert asyncio.run(main()).exit_code == 0
    main_address = f"--main-address {run.launch_name}-0.{run.launch_name}"
    said = f"--run-dir {run.run_dir} --node-rank 0 {main_address}"
    assert RunDir(run.run_dir).log_tail() == said
    (second,) = tmp_path.glob(f"{run.launch_name}-1-*.log")
    assert second.read_text().strip() == said.replace("--node-rank 0", "--node-rank 1")
