"""What a run's state is by its Job and pods: the double's controllers make them, no HTTP."""

import time
from collections.abc import Callable
from copy import deepcopy

import pytest

from service.jobs.launchers.base import Probe
from service.jobs.launchers.kubernetes.render import render
from service.jobs.launchers.kubernetes.seen import LOST_S, seen, telling_pod
from service.jobs.resources import Resources
from tests.kubernetes_double.cluster import Cluster
from tests.kubernetes_golden import LEAST, placed

HANDLE = {"name": "n"}


class Scene:
    """One run in a cluster without a kubelet."""

    def __init__(self, nodes: int = 1) -> None:
        self.cluster = Cluster()
        manifests = render(placed(Resources(nodes=nodes)), LEAST)
        self.job = self.cluster.create("jobs", manifests.job)
        self.pods = [str(pod["metadata"]["name"]) for pod in self.cluster.pods()]

    def probe(self, later_s: float = 0) -> Probe:
        now = time.time() + later_s
        return seen(self.job, self.cluster.pods(), HANDLE, now=now)


def test_a_run_waits_runs_and_ends() -> None:
    scene = Scene()
    states = [scene.probe().state]
    scene.cluster.start(scene.pods[0])
    states.append(scene.probe().state)
    scene.cluster.finish(scene.pods[0], 0)
    assert [*states, scene.probe()] == ["pending", "running", Probe("exited", 0, HANDLE)]


WAITING: list[tuple[str, Callable[[Scene], object]]] = [
    ("0/3 nodes", lambda s: s.cluster.unschedulable(s.pods[0], "0/3 nodes are available")),
    (
        "ImagePullBackOff: no such",
        lambda s: s.cluster.wait(s.pods[0], "ImagePullBackOff", "no such"),
    ),
    ("ContainerCreating", lambda s: s.cluster.wait(s.pods[0], "ContainerCreating")),
    ("are starting", lambda s: None),
    ("quota", lambda s: s.cluster.things["pods"].clear()),
    ("suspended", lambda s: s.job["spec"].update(suspend=True)),
]


@pytest.mark.parametrize(("reason", "act"), WAITING, ids=[reason for reason, _ in WAITING])
def test_a_run_without_its_machines_is_pending_and_says_why(
    reason: str, act: Callable[[Scene], object]
) -> None:
    scene = Scene()
    act(scene)
    probe = scene.probe()
    assert probe.state == "pending"
    assert reason in str(probe.reason)


def test_several_nodes_run_once_all_have_started() -> None:
    scene = Scene(nodes=2)
    scene.cluster.start(scene.pods[0])
    scene.cluster.unschedulable(scene.pods[1], "no GPU")
    waiting = scene.probe()
    scene.cluster.start(scene.pods[1])
    assert (waiting.state, waiting.reason) == ("pending", "Unschedulable: no GPU")
    assert scene.probe().state == "running"
    scene.cluster.finish(scene.pods[1], 0)
    assert scene.probe().state == "running"
    scene.cluster.finish(scene.pods[0], 0)
    assert scene.probe().exit_code == 0


@pytest.mark.parametrize(
    ("code", "why", "expected"),
    [(3, None, 3), (137, "OOMKilled", -9), (143, None, -15), (255, None, 255)],
)
def test_how_a_trainer_died_is_told(code: int, why: str | None, expected: int) -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    scene.cluster.finish(scene.pods[0], code, why)
    probe = scene.probe()
    assert (probe.state, probe.exit_code, probe.preempted) == ("exited", expected, False)
    assert (why or "Error") in str(probe.reason)
    assert probe.out_of_memory == (why == "OOMKilled")


def test_a_node_that_ran_out_of_memory_is_told_whichever_ended_first() -> None:
    scene = Scene(nodes=2)
    for pod in scene.pods:
        scene.cluster.start(pod)
    scene.cluster.finish(scene.pods[1], 137, "OOMKilled")
    pods = deepcopy(scene.cluster.pods())
    # The other saw its neighbour go, and times are in whole seconds.
    state = {"terminated": {"exitCode": 1, "finishedAt": "2000-01-01T00:00:00Z"}}
    pods[0]["status"] = {
        "phase": "Failed",
        "containerStatuses": [{"name": "trainer", "state": state}],
    }
    scene.cluster.finish(scene.pods[0], 1)
    probe = seen(scene.job, pods, HANDLE, now=time.time())
    assert (probe.exit_code, probe.out_of_memory) == (-9, True)
    assert "OOMKilled" in str(probe.reason)


def test_a_machine_that_was_taken_away_is_no_want_of_memory() -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    scene.cluster.disrupt(scene.pods[0], "EvictionByEvictionAPI", "drained", code=None)
    scene.cluster.finish(scene.pods[0], 137, "OOMKilled")
    probe = scene.probe()
    assert (probe.preempted, probe.out_of_memory) == (True, False)


def test_the_node_that_failed_first_is_to_blame() -> None:
    scene = Scene(nodes=3)
    for pod in scene.pods:
        scene.cluster.start(pod)
    scene.cluster.finish(scene.pods[1], 3)
    pods = scene.cluster.pods()
    assert "deletionTimestamp" in pods[0]["metadata"]
    ended = pods[1]["status"]["containerStatuses"][0]["state"]["terminated"]
    ended["finishedAt"] = "2000-01-01T00:00:00Z"
    # The others are told to end, and die of it.
    pods[0]["status"] = {
        "phase": "Failed",
        "containerStatuses": [
            {
                "name": "trainer",
                "state": {"terminated": {"exitCode": 143, "finishedAt": "2000-01-01T00:00:09Z"}},
            }
        ],
    }
    assert telling_pod(pods) is pods[1]
    assert scene.probe().state == "running"
    scene.cluster.finish(scene.pods[0], 143)
    scene.cluster.finish(scene.pods[2], 0)
    probe = scene.probe()
    assert (probe.state, probe.exit_code) == ("exited", 3)


@pytest.mark.parametrize("reason", ["PreemptionByScheduler", "EvictionByEvictionAPI"])
@pytest.mark.parametrize("pod_is_gone", [False, True])
def test_a_machine_that_was_taken_away_is_preemption(reason: str, pod_is_gone: bool) -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    scene.cluster.disrupt(scene.pods[0], reason, "for another")
    if pod_is_gone:
        scene.cluster.things["pods"].clear()
    probe = scene.probe()
    assert (probe.state, probe.preempted) == ("exited", True)
    assert "DisruptionTarget" in str(probe.reason)


def test_an_eviction_without_the_condition_is_preemption_unless_the_pod_filled_its_disk() -> None:
    by_node, own = Scene(), Scene()
    for scene in (by_node, own):
        scene.cluster.start(scene.pods[0])
        scene.cluster.evict_for_disk(scene.pods[0])
    status = by_node.cluster.pods()[0]["status"]
    status["message"] = "The node was low on resource: memory. "
    assert by_node.probe().preempted
    assert not own.probe().preempted
    assert own.probe().state == "exited"


@pytest.mark.parametrize("reason", ["NodeShutdown", "OutOfmemory", "UnexpectedAdmissionError"])
def test_a_pod_that_failed_through_its_node_is_preemption(reason: str) -> None:
    scene = Scene()
    scene.cluster.pods()[0]["status"] |= {"reason": reason, "message": "the node says no"}
    scene.cluster.finish(scene.pods[0], 1)
    probe = scene.probe()
    assert (probe.state, probe.preempted) == ("exited", True)
    assert f"{reason}: the node says no" in str(probe.reason)


def test_a_node_that_does_not_answer_is_waited_for_and_then_lost() -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    scene.cluster.disrupt(scene.pods[0], "DeletionByTaintManager", "node gone", code=None)
    assert scene.probe().state == "running"
    lost = scene.probe(later_s=31 + LOST_S)
    assert (lost.state, lost.exit_code, lost.preempted) == ("exited", None, True)
    assert "node gone" in str(lost.reason)


def test_a_pod_that_was_disrupted_but_had_ended_well_is_no_preemption() -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    scene.cluster.disrupt(scene.pods[0], "EvictionByEvictionAPI", "drained", code=0)
    assert scene.probe() == Probe("exited", 0, HANDLE)


def test_the_clusters_own_deadline_ends_a_run_without_an_exit_code() -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    scene.cluster.expire(scene.job["metadata"]["name"])
    probe = scene.probe()
    assert (probe.state, probe.exit_code, probe.preempted) == ("exited", None, False)
    assert "DeadlineExceeded" in str(probe.reason)


def test_a_job_that_is_deleted_runs_until_it_is_gone() -> None:
    scene = Scene()
    scene.cluster.start(scene.pods[0])
    name = scene.job["metadata"]["name"]
    scene.cluster.delete("jobs", name, {"propagationPolicy": "Foreground"})
    assert scene.probe().state == "running"
    scene.cluster.finish(scene.pods[0], 0)
    assert name not in scene.cluster.things["jobs"]


def test_a_reason_is_short() -> None:
    scene = Scene()
    scene.cluster.unschedulable(scene.pods[0], "x" * 10_000)
    assert len(str(scene.probe().reason)) == 500
