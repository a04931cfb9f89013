"""How vLLM is called, for machines that the tests do not run on."""

import importlib.metadata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.engine import lora_cpu, lora_plugin
from service.engine.vllm import AdapterRoom, VllmOptions, command, environment, last_error, phase
from service.models.registry import ServedModel

MODEL = ServedModel("tiny", "r1", Path("/models/tiny"))


def options(**given: Any) -> VllmOptions:
    usual = VllmOptions("cpu", max_model_len=2048, kv_cache_bytes=2**30, cache_dir=Path("cache"))
    return replace(usual, **given)


def test_the_server_listens_on_loopback_only() -> None:
    line = command("python", options(), MODEL, 8123)
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert line[line.index("--port") + 1] == "8123"


def test_both_builds_serve_the_same_model_under_the_same_bounds() -> None:
    cpu = command("python", options(), MODEL, 1)
    gpu = command("python", options(build="gpu"), MODEL, 1)
    assert cpu[: len(gpu)] == gpu
    assert "--enforce-eager" in cpu
    assert "--enforce-eager" not in gpu


@pytest.mark.parametrize(("context", "step"), [(512, "2048"), (2048, "2048"), (8192, "8192")])
def test_the_cpu_build_reads_every_prompt_in_one_step(context: int, step: str) -> None:
    line = command("python", options(max_model_len=context), MODEL, 1)
    assert "--no-enable-chunked-prefill" in line
    assert line[line.index("--max-num-batched-tokens") + 1] == step


def test_the_cpu_build_finds_prompts_again_in_small_blocks() -> None:
    line = command("python", options(), MODEL, 1)
    assert line[line.index("--block-size") + 1] == "32"


@pytest.mark.parametrize(("bf16", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_the_cpu_build_computes_in_what_the_processor_multiplies(bf16: bool, dtype: str) -> None:
    line = command("python", options(bf16=bf16), MODEL, 1)
    assert line[line.index("--dtype") + 1] == dtype
    assert "--dtype" not in command("python", options(build="gpu", bf16=bf16), MODEL, 1)


def test_the_server_tells_what_it_found_in_its_cache() -> None:
    assert "--enable-prompt-tokens-details" in command("python", options(build="gpu"), MODEL, 1)


@pytest.mark.parametrize(
    ("cpus", "quota", "expected"),
    [
        ((0, 1), None, {"VLLM_CPU_OMP_THREADS_BIND": "0,1"}),
        ((3, 2), 2.0, {"VLLM_CPU_OMP_THREADS_BIND": "2,3"}),
        (tuple(range(16)), None, {"VLLM_CPU_OMP_THREADS_BIND": "auto"}),
        ((), None, {"VLLM_CPU_OMP_THREADS_BIND": "auto"}),
        (tuple(range(64)), 3.5, {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "3"}),
        (tuple(range(64)), 0.5, {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}),
    ],
)
def test_threads_follow_the_cores_that_are_ours(
    cpus: tuple[int, ...], quota: float | None, expected: dict[str, str]
) -> None:
    assert expected.items() <= environment(options(cpus=cpus, cpu_quota=quota)).items()


def test_a_gpu_server_binds_no_threads() -> None:
    assert not [k for k in environment(options(build="gpu", cpus=(0, 1))) if "OMP" in k]


def test_the_phase_is_the_last_one_reached() -> None:
    assert phase("") == "loading vLLM"
    assert phase("non-default args\nStarting to load model /m") == "loading the weights"


def test_the_telling_error_is_found_among_the_noise() -> None:
    log = (
        "(Worker pid=1) ERROR [x.py:3] ValueError: max_model_len (99999) is too large\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
        "INFO bye"
    )
    assert last_error(log) == "ValueError: max_model_len (99999) is too large"
    assert last_error("all is well") is None


def test_only_a_server_with_room_for_adapters_takes_them() -> None:
    bare, roomy = options(), options(room=AdapterRoom(3, 20))
    line = command("python", roomy, MODEL, 1)
    assert "--enable-lora" not in command("python", bare, MODEL, 1)
    assert line[line.index("--max-loras") + 1] == "3"
    assert line[line.index("--max-lora-rank") + 1] == "32"
    allowed = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
    assert (environment(roomy)[allowed], environment(bare).get(allowed)) == ("1", None)
    assert environment(roomy)["PYTHONPATH"].startswith("cache/plugins")
    assert "PYTHONPATH" not in environment(options(build="gpu", room=roomy.room)) | environment(
        bare
    )


def test_the_plugin_is_found_as_an_installed_package(tmp_path: Path) -> None:
    lora_plugin.install(tmp_path)
    lora_plugin.install(tmp_path)
    (found,) = importlib.metadata.distributions(path=[str(tmp_path)])
    (entry,) = found.entry_points
    assert (entry.group, entry.value) == ("vllm.general_plugins", "verisql_lora_cpu:register")
    assert (tmp_path / "verisql_lora_cpu.py").read_bytes() == Path(lora_cpu.__file__).read_bytes()
