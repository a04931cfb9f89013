"""What this machine's processor multiplies fast."""

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
"""What oneDNN, and so PyTorch, needs of an x86 processor for products of bf16 matrices."""


def multiplies_bf16(cpuinfo: Path = _CPUINFO) -> bool:
    """False on x86 without AVX-512, where PyTorch has no fast products of bf16 matrices.

    How slow they are tells bench/bf16_products.py. True where the file does not say.
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return True
    flags = next((line for line in lines if line.startswith("flags")), None)
    return flags is None or set(flags.split()) >= _AVX512
