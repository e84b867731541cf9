"""Weighted squared errors that let the predictor care more for good architectures."""

import torch
from torch import Tensor

LOSSES = {
    "mse": torch.ones_like,
    "log": lambda target: (1 + target).log(),
    "linear": lambda target: target,
    "exp": lambda target: (target - 1).exp(),
}
"""What `--loss_num` 0..3 picks: the weight by the target."""


def weighted_loss(predicted: Tensor, target: Tensor, loss_num: int) -> Tensor:
    """Mean squared error, weighted by a growing function of the target.

    The weights for a target t are 1, log(1 + t), t and exp(t − 1) (BONAS, section 3.2.3).

    Args:
        predicted: scores, (B,).
        target: measured scores from 0 to 1, (B,).
        loss_num: index in `LOSSES`.

    Raises:
        ValueError: `loss_num` is no index in `LOSSES`.
    """
    if loss_num not in range(len(LOSSES)):
        raise ValueError(f"--loss_num {loss_num}: expected 0..3 ({', '.join(LOSSES)})")
    weight = list(LOSSES.values())[loss_num](target)
    return (weight * (predicted - target) ** 2).mean()
