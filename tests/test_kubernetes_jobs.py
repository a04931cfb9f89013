"""A job through the supervisor in the double's cluster, outages included."""

import asyncio
from pathlib import Path
from typing import Any

from service.jobs.job import Job
from tests.fixtures_jobs import end_trainers, new_job, store_at, supervisor_over, until_status
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
