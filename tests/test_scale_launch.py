"""The command and environment of each node of a job."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest
from service.processor import multiplies_bf16
from trainer import presets
from trainer.scale.__main__ import main
from trainer.scale.launch import Launch, Node, launch

RUN = Path("/runs/one")


def request(preset: str, **given: Any) -> RunRequest:
    return RunRequest(
        job_id="job_1",
        spec=presets.load(preset).spec({"train_data": "demo"} | given),
        base_model_path=Path("/models/base"),
        train_data_path=Path("/data/train.json"),
        data_dirs=[Path("/data")],
    )


def options(found: Launch) -> dict[str, str]:
    return dict(
        word[2:].split("=", 1) for word in found.command if word.startswith("--") and "=" in word
    )


@pytest.mark.parametrize("preset", ["laptop-0.5b", "gpu-7b"])
def test_one_process_is_the_trainer_itself(preset: str) -> None:
    found = launch(request(preset), RUN, Node())
    assert found.command[1:] == ["-m", "trainer", "--run-dir", str(RUN)]


def test_only_a_run_without_gpus_is_told_to_stay_on_the_cpu() -> None:
    assert "ACCELERATE_USE_CPU" in launch(request("laptop-0.5b"), RUN, Node()).environment
    assert "ACCELERATE_USE_CPU" not in launch(request("gpu-7b"), RUN, Node()).environment


def test_each_training_node_knows_its_place_among_24_processes() -> None:
    for rank in range(3):
        found = launch(request("cluster-32b"), RUN, Node(rank, "node-0", 29_501))
        said = options(found)
        assert (said["num_processes"], said["num_machines"]) == ("24", "3")
        assert (said["machine_rank"], said["main_process_ip"]) == (str(rank), "node-0")
        assert Path(said["config_file"]).name == "fsdp2.yaml"
        assert found.command[-4:] == ["--module", "trainer", "--run-dir", str(RUN)]
        assert found.environment["OMP_NUM_THREADS"] == "12"


def test_processors_that_multiply_no_bf16_are_not_told_to() -> None:
    several = {"cpus": 4, "nodes": 2, "sharding": "ddp"}
    found = launch(request("laptop-0.5b", resources=several), RUN, Node(0, "node-0"))
    assert options(found).get("mixed_precision") == (None if multiplies_bf16() else "no")
    assert "mixed_precision" not in options(launch(request("cluster-32b"), RUN, Node(0, "node-0")))


def test_workers_get_more_than_half_a_minute_to_end() -> None:
    found = launch(request("cluster-32b"), RUN, Node(0, "node-0"))
    assert int(found.environment["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) > 30


def test_the_last_node_serves_two_copies_on_eight_gpus() -> None:
    found = launch(request("cluster-32b"), RUN, Node(3, "node-0"))
    said = shlex.join(found.command)
    assert said.startswith("vllm serve /models/base ")
    for part in ("--tensor-parallel-size 4", "--data-parallel-size 2", "--port 8000"):
        assert part in said
    assert "--max-model-len 8704" in said
    assert found.environment == {"VLLM_SERVER_DEV_MODE": "1"}


@pytest.mark.parametrize("rank", [-1, 4])
def test_a_node_that_the_job_does_not_have_is_refused(rank: int) -> None:
    with pytest.raises(InvalidRequest, match="nodes 0 to 3"):
        launch(request("cluster-32b"), RUN, Node(rank))


def test_the_command_line_is_printed_as_a_shell_would_take_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunDir(tmp_path).create(request("cluster-32b"))
    main(["--run-dir", str(tmp_path), "--node-rank", "3", "--print"])
    words = shlex.split(capsys.readouterr().out)
    assert words[:3] == ["VLLM_SERVER_DEV_MODE=1", "vllm", "serve"]
