"""What the machine computes in: bf16, or fp32 on a processor that multiplies no bf16."""

import torch

from service.processor import multiplies_bf16


def computes_in_bf16() -> bool:
    """Of the first GPU if there is one, else of the processor."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return multiplies_bf16()


def frozen_dtype() -> torch.dtype:
    """Of weights that are not trained; those that are stay in fp32."""
    return torch.bfloat16 if computes_in_bf16() else torch.float32
