"""The random states of the process, as they were at the end of a step."""

import random
from dataclasses import dataclass
from typing import Any

import numpy
import torch


@dataclass(frozen=True, slots=True)
class RandomStates:
    """Python's, numpy's and torch's generators."""

    python: tuple[Any, ...]
    numpy: Any
    cpu: torch.Tensor
    cuda: list[torch.Tensor]

    @classmethod
    def take(cls) -> "RandomStates":
        """The states now."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        cpu = torch.get_rng_state()
        return cls(random.getstate(), numpy.random.get_state(), cpu, cuda)

    def restore(self) -> None:
        """Go on from these states."""
        random.setstate(self.python)
        numpy.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
