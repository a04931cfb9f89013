"""Losses of the offline stage, each of one question with its completions (sizes in examples.py).

With l_it the log-probability of token t of completion i, and o_it that when it was sampled:

    rejection   mean over i of mean over t of -l_it
    weighted    mean over i of mean over t of -min(q_it A_i, clip(q_it, 1 - e, 1 + e_high) A_i),
                q_it = exp(l_it - o_it): GRPO's loss (arXiv 2402.03300, eq. 3) on old samples
    dpo         mean over pairs of -log sigmoid(beta ((L_c - O_c) - (L_r - O_r))) with L and O sums
                over t (arXiv 2305.18290, eq. 7); the reference is the model that sampled

Means and not sums over a question's completions: a question counts the same however many it has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from trainer.offline.examples import Example

Objective = Callable[[Example, list[torch.Tensor]], torch.Tensor]
"""From an example and its completions' token log-probabilities to a loss."""


def rejection_loss(example: Example, logps: list[torch.Tensor]) -> torch.Tensor:
    """Supervised fine-tuning on the completions."""
    return -torch.stack([one.mean() for one in logps]).mean()


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """Clipped policy gradient with the stored advantages."""

    epsilon: float
    epsilon_high: float

    def __call__(self, example: Example, logps: list[torch.Tensor]) -> torch.Tensor:
        """See above."""
        losses = []
        for one, old, weight in zip(logps, example.logps, example.weights, strict=True):
            ratio = (one - torch.tensor(old, device=one.device)).exp()
            clipped = ratio.clamp(1 - self.epsilon, 1 + self.epsilon_high)
            losses.append(-torch.minimum(ratio * weight, clipped * weight).mean())
        return torch.stack(losses).mean()


@dataclass(frozen=True, slots=True)
class PreferenceLoss:
    """DPO on the pairs of the n-th chosen and the n-th rejected completion."""

    beta: float

    def __call__(self, example: Example, logps: list[torch.Tensor]) -> torch.Tensor:
        """See above."""
        gains = [one.sum() - sum(old) for one, old in zip(logps, example.logps, strict=True)]
        chosen = [g for g, w in zip(gains, example.weights, strict=True) if w > 0]
        rejected = [g for g, w in zip(gains, example.weights, strict=True) if w < 0]
        margins = torch.stack(chosen) - torch.stack(rejected)
        return -logsigmoid(self.beta * margins).mean()
