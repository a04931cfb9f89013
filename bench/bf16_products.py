"""How fast the processor multiplies matrices in bf16 and in fp32, the sizes of Qwen2.5-Coder-0.5B.

    python -m bench.bf16_products --rounds 5

A prompt of 640 tokens by the widest weights of a layer: forward (x W^T) as serving and training
need it, backward (g W) as training alone does; in turn. What service/processor.py says of this
processor stands beside it.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from service.processor import multiplies_bf16

_TOKENS, _IN, _OUT = 640, 896, 4864
_TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def main(arguments: list[str] | None = None) -> None:
    """Print GFLOP/s of both, median (least to most), and the ratios round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    for name, multiply in (("forward", _forward), ("backward", _backward)):
        found = [[_gflops(multiply, dtype) for dtype in _TYPES.values()] for _ in range(rounds)]
        for kind, values in zip(_TYPES, zip(*found, strict=True), strict=True):
            print(f"{name}, {kind}: {_spread(values)} GFLOP/s")
        print(f"{name}, fp32 / bf16: {_spread([fp32 / bf16 for bf16, fp32 in found])}")
    print(f"multiplies_bf16: {multiplies_bf16()}")


def _forward(weights: torch.Tensor) -> Callable[[], torch.Tensor]:
    given = torch.randn(_TOKENS, _IN, dtype=weights.dtype)
    return lambda: given @ weights.T


def _backward(weights: torch.Tensor) -> Callable[[], torch.Tensor]:
    given = torch.randn(_TOKENS, _OUT, dtype=weights.dtype)
    return lambda: given @ weights


def _gflops(
    multiply: Callable[[torch.Tensor], Callable[[], torch.Tensor]], dtype: torch.dtype
) -> float:
    run = multiply(torch.randn(_OUT, _IN, dtype=dtype))
    run()
    began = time.perf_counter()
    run()
    return 2e-9 * _TOKENS * _IN * _OUT / (time.perf_counter() - began)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
