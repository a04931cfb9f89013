"""The double itself is as strict as the API server where the launcher meets it."""

from collections.abc import Callable
from typing import Any

import pytest

from service.jobs.launchers.kubernetes.render import render
from service.jobs.resources import Resources
from tests.kubernetes_double.cluster import Cluster
from tests.kubernetes_double.refusals import Refused
from tests.kubernetes_golden import LEAST, placed

Thing = dict[str, Any]


def job() -> Thing:
    found = render(placed(Resources(gpus_per_node=1)), LEAST).job
    return found


def _pod(thing: Thing) -> Thing:
    found: Thing = thing["spec"]["template"]["spec"]
    return found


WRONG: dict[str, Callable[[Thing], object]] = {
    "backofLimit": lambda j: j["spec"].update(backofLimit=0),
    "is not of type": lambda j: j["spec"].update(backoffLimit="none"),
    "'containers' is a required": lambda j: _pod(j).pop("containers"),
    "is not a DNS label": lambda j: j["metadata"].update(name="verisql_job"),
    "is not a label's value": lambda j: j["metadata"]["labels"].update(x="a b"),
    "needs restartPolicy Never": lambda j: _pod(j).update(restartPolicy="OnFailure"),
    "podReplacementPolicy": lambda j: j["spec"].update(podReplacementPolicy="TerminatingOrFailed"),
    "required with completionMode": lambda j: j["spec"].update(completionMode="Indexed"),
    "no such volume": lambda j: _pod(j)["volumes"].pop(),
    "a path twice": lambda j: _pod(j)["containers"][0]["volumeMounts"][0].update(
        mountPath="/dev/shm"
    ),
    "is not a quantity": lambda j: _pod(j)["containers"][0]["resources"]["limits"].update(
        memory="8 GB"
    ),
    "must equal the request": lambda j: _pod(j)["containers"][0]["resources"].update(
        limits={"cpu": "2"}
    ),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_wrong_job_is_refused(said: str) -> None:
    thing = job()
    # What is shared in the rendered object must not be changed twice.
    thing["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        kind: dict(amounts) for kind, amounts in _pod(thing)["containers"][0]["resources"].items()
    }
    WRONG[said](thing)
    with pytest.raises(Refused, match=said) as refused:
        Cluster().create("jobs", thing)
    assert refused.value.code == 422


def test_a_name_is_taken_once_and_versions_rise() -> None:
    cluster = Cluster()
    made = cluster.create("jobs", job())
    version = int(made["metadata"]["resourceVersion"])
    with pytest.raises(Refused, match="already exists"):
        cluster.create("jobs", job())
    cluster.start(str(cluster.pods()[0]["metadata"]["name"]))
    assert int(cluster.pods()[0]["metadata"]["resourceVersion"]) > version


def test_deleting_another_generation_is_a_conflict() -> None:
    cluster = Cluster()
    name = cluster.create("jobs", job())["metadata"]["name"]
    with pytest.raises(Refused, match="precondition") as refused:
        cluster.delete("jobs", name, {"preconditions": {"uid": "another"}})
    assert refused.value.code == 409
