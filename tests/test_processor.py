"""bf16 where the processor multiplies it, fp32 where it would be slow."""

import platform
from pathlib import Path

import pytest

from service.processor import multiplies_bf16

MILAN = "fpu sse2 avx avx2 fma f16c vaes"
SKYLAKE = f"{MILAN} avx512f avx512dq avx512cd avx512bw avx512vl"
KNIGHT = f"{MILAN} avx512f avx512cd avx512er"


def cpuinfo(path: Path, flags: str) -> Path:
    file = path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: some\n{flags}\nbugs\t\t: avx512f\n\n")
    return file


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (f"flags\t\t: {MILAN}", False),
        (f"flags\t\t: {KNIGHT}", False),
        (f"flags\t\t: {SKYLAKE}", True),
        (f"flags\t\t: {SKYLAKE} avx512_bf16 amx_bf16 amx_tile", True),
        ("Features\t: fp asimd", True),
    ],
)
def test_an_x86_processor_needs_avx512(tmp_path: Path, flags: str, expected: bool) -> None:
    assert multiplies_bf16(cpuinfo(tmp_path, flags)) == expected


def test_what_is_not_known_is_left_as_it_was(tmp_path: Path) -> None:
    assert multiplies_bf16(tmp_path / "missing")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="asked of x86 alone")
def test_pytorch_says_the_same_of_this_processor() -> None:
    torch = pytest.importorskip("torch")
    assert multiplies_bf16() == torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_what_is_frozen_is_what_the_processor_multiplies() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("a GPU decides here")
    from trainer.precision import computes_in_bf16, frozen_dtype

    assert computes_in_bf16() == multiplies_bf16()
    assert frozen_dtype() == (torch.bfloat16 if multiplies_bf16() else torch.float32)
