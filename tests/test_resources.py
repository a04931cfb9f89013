"""What a job may ask of its machines, and which combinations are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.jobs.resources import Resources
from service.jobs.spec import JobSpec


def test_a_job_without_wishes_is_one_process_that_samples_itself() -> None:
    asked = Resources()
    assert (asked.processes, asked.strategy, asked.vllm.mode) == (1, "none", "off")


def test_a_serving_node_trains_nothing() -> None:
    server = {"mode": "server", "nodes": 1, "server_url": "http://rollouts:8000"}
    asked = Resources.model_validate({"nodes": 4, "gpus_per_node": 8, "vllm": server})
    assert (asked.training_nodes, asked.processes, asked.strategy) == (3, 24, "ddp")


def test_nodes_without_gpus_have_one_process_each() -> None:
    assert Resources(nodes=2).processes == 2


SERVER = {"mode": "server", "server_url": "http://rollouts:8000"}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"sharding": "fsdp2"}, "sharding_mismatch"),
        ({"nodes": 2, "sharding": "none"}, "sharding_mismatch"),
        ({"vllm": {"mode": "colocate"}}, "vllm_without_gpu"),
        ({"gpus_per_node": 1, "vllm": {"mode": "server"}}, "no_vllm_server"),
        ({"gpus_per_node": 1, "vllm": {"nodes": 1}}, "idle_nodes"),
        ({"gpus_per_node": 1, "vllm": SERVER | {"nodes": 1}}, "no_training_node"),
        (
            {"gpus_per_node": 3, "vllm": {"mode": "colocate", "tensor_parallel": 2}},
            "tensor_parallel_mismatch",
        ),
        (
            {"nodes": 2, "gpus_per_node": 3, "vllm": SERVER | {"nodes": 1, "tensor_parallel": 2}},
            "tensor_parallel_mismatch",
        ),
        ({"vllm": SERVER | {"server_url": "file:///x"}}, "string_pattern_mismatch"),
        ({"vllm": {"memory_share": 1.0}}, "less_than"),
    ],
)
def test_what_does_not_fit_together_is_refused(asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Resources.model_validate(asked)
    assert [error["type"] for error in caught.value.errors()] == [code]


def test_each_process_gets_whole_groups() -> None:
    job = {"base_model": "m", "train_data": "demo", "resources": {"nodes": 3}}
    with pytest.raises(ValidationError, match="no multiple of the 3 training processes"):
        JobSpec.model_validate(job | {"hyperparameters": {"prompts_per_step": 4}})
    assert JobSpec.model_validate(job | {"hyperparameters": {"prompts_per_step": 6}})
