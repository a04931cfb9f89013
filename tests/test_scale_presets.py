"""Each preset as far as a machine without a GPU can tell: it composes, and its model fits."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import pytest

from service.errors import UnsupportedValue
from service.jobs.spec import JobSpec
from trainer import presets
from trainer.scale.decoder import Decoder
from trainer.scale.memory import memory_plan, preset_plan
from trainer.scale.options import completions_per_process, scale_options

NAMES = ["cluster-32b", "gpu-7b", "laptop-0.5b"]
SHARDINGS = ["none", "ddp", "fsdp2", "zero3"]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load torch and TRL once, for this file only: it takes seconds, and their packages warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("trainer.grpo.trainer", "accelerate.commands.launch"):
            importlib.import_module(name)


def spec(name: str, **given: Any) -> JobSpec:
    return presets.load(name).spec({"train_data": "demo"} | given)


def config(chosen: JobSpec, folder: Path) -> Any:
    from trainer.batching import Batching
    from trainer.grpo.config import grpo_config

    size = chosen.hyperparameters.group_size
    batching = Batching(size, completions_per_process(chosen) // size, checkpoint_activations=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return grpo_config(chosen, batching, folder)


def test_these_are_the_presets() -> None:
    assert presets.names() == NAMES
    with pytest.raises(UnsupportedValue, match=r"cluster-32b, gpu-7b, laptop-0\.5b"):
        presets.load("../secrets")


def test_what_is_given_wins_field_by_field() -> None:
    found = spec("gpu-7b", hyperparameters={"lora_rank": 8}, resources={"vllm": {"mode": "off"}})
    assert (found.hyperparameters.lora_rank, found.hyperparameters.group_size) == (8, 16)
    assert (found.resources.vllm.mode, found.resources.gpus_per_node) == ("off", 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_sets_every_scale_field_that_matters(name: str) -> None:
    chosen = spec(name)
    assert chosen.name == name
    assert chosen.resources.sharding != "auto"
    assert chosen.base_model in presets.models()
    assert presets.load(name).about


@pytest.mark.parametrize("name", NAMES)
def test_trl_takes_a_preset(name: str, tmp_path: Path) -> None:
    chosen = spec(name)
    found = config(chosen, tmp_path)
    assert found.use_vllm == (chosen.resources.vllm.mode != "off")
    for field, value in scale_options(chosen).items():
        assert getattr(found, field) == value
    processes = chosen.resources.processes
    whole_step = chosen.hyperparameters.prompts_per_step * chosen.hyperparameters.group_size
    assert found.generation_batch_size * processes == whole_step


def test_vllm_options_reach_trl(tmp_path: Path) -> None:
    found = config(spec("gpu-7b"), tmp_path)
    assert (found.vllm_mode, found.vllm_enable_sleep_mode) == ("colocate", True)
    assert (found.vllm_gpu_memory_utilization, found.vllm_max_model_length) == (0.45, 4608)
    served = config(spec("cluster-32b"), tmp_path)
    assert (served.vllm_mode, served.vllm_server_base_url) == ("server", "http://rollouts:8000")


def test_no_option_of_scale_is_one_of_the_algorithm() -> None:
    names = {name for preset in NAMES for name in scale_options(spec(preset))}
    assert all(
        name.startswith(("vllm_", "ddp_", "use_vllm", "gradient_checkpointing_kw"))
        for name in names
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"hyperparameters": {"lora_rank": 8}}, "resources.sharding"),
        ({"hyperparameters": {"refills": 1}}, "hyperparameters.refills"),
        ({"resources": {"vllm": {"mode": "off", "nodes": 0}}}, "resources.vllm.mode"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(given: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        scale_options(spec("cluster-32b", **given))
    assert caught.value.param == param


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_accelerate_reads_its_part(sharding: Any) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = presets.accelerate_file(sharding)
    found = load_config_from_file(str(path))
    wanted = {"none": "NO", "ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero3": "DEEPSPEED"}
    assert found.distributed_type == wanted[sharding]
    assert found.mixed_precision == "bf16"


def test_accelerate_launch_turns_the_cluster_into_fsdp2(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = presets.accelerate_file("fsdp2")
    words = [f"--config_file={path}", "--num_machines=3", "--num_processes=24", "--machine_rank=1"]
    words += ["--main_process_ip=node-0", "--main_process_port=29500", "--module", "trainer"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    found = prepare_multi_gpu_env(arguments)
    assert (found["ACCELERATE_USE_FSDP"], found["FSDP_VERSION"]) == ("true", "2")
    assert found["FSDP_AUTO_WRAP_POLICY"] == "TRANSFORMER_BASED_WRAP"
    assert found["FSDP_RESHARD_AFTER_FORWARD"] == "true"
    assert (arguments.nproc_per_node, arguments.nnodes, arguments.node_rank) == ("8", "3", 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_has_the_published_number_of_weights(name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    about = presets.models()[spec(name).base_model]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(Qwen2Config(**about["config"]))
    counted = sum(weight.numel() for weight in model.parameters())
    decoder = Decoder.of(about["config"])
    assert counted == decoder.weights
    published = about["published"]
    assert counted / 1e9 == pytest.approx(published["billions"], rel=0.01)
    inside = decoder.layers * decoder.block / 1e9
    assert inside == pytest.approx(published["without_embeddings"], rel=0.01)
    assert published.get("bf16_bytes", 2 * counted) == 2 * counted


def test_an_adapter_has_as_many_weights_as_peft_makes() -> None:
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, Qwen2Config

    from trainer.model import lora_config

    chosen = spec("laptop-0.5b")
    sizes = presets.models()[chosen.base_model]["config"]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(Qwen2Config(**sizes))
        adapted = get_peft_model(model, lora_config(chosen.hyperparameters))
    trained = sum(w.numel() for w in adapted.parameters() if w.requires_grad)
    assert trained == Decoder.of(sizes).adapter(chosen.hyperparameters.lora_rank)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_fits_its_machine_with_a_tenth_to_spare(name: str) -> None:
    asked, found = spec(name).resources, preset_plan(name)
    room = (asked.gpu_memory_gb or asked.memory_gb) * 1e9
    assert found.peak < 0.9 * room
    assert found.total("serving") < 0.9 * room


@pytest.mark.parametrize(("gpu_gb", "fits"), [(80, True), (48, False)])
def test_7b_as_it_is_set_fits_80_gb_with_a_tenth_to_spare_and_not_48(
    gpu_gb: float, fits: bool
) -> None:
    chosen = spec("gpu-7b", resources={"gpu_memory_gb": gpu_gb})
    found = memory_plan(chosen, Decoder.of(presets.models()[chosen.base_model]["config"]))
    assert (found.peak < 0.9 * gpu_gb * 1e9) == fits
