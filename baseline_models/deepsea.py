"""DeepSEA: three convolutions and two linear layers.

Zhou & Troyanskaya, "Predicting effects of noncoding variants with deep learning-based sequence
model", Nature Methods 12:931-934 (2015), doi:10.1038/nmeth.3547.

B batch, L sequence length (bp), C channels.
"""

from collections import OrderedDict

from torch import nn

CHANNELS = (320, 480, 960)
KERNEL = 8
POOL = 4
HIDDEN = 925
# Undoing the layers from the back: conv, pool, conv, pool, conv must leave one position.
SHORTEST = ((1 + KERNEL - 1) * POOL + KERNEL - 1) * POOL + KERNEL - 1


def _pooled(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A convolution, pooled; ReLU and max-pool commute, after the pool it touches a quarter."""
    return nn.Conv1d(inputs, outputs, KERNEL), nn.MaxPool1d(POOL), nn.ReLU(), nn.Dropout(0.2)


class DeepSEA(nn.Sequential):
    """DeepSEA: one-hot DNA (B, 4, L) → logits (B, num_targets).

    The layer sizes are the published ones. Left out: the published training's L1 penalty on the
    last hidden layer and its bound on the norm of the kernels, which belong to the training, not
    to the layers.

    Args:
        seq_size: sequence length L in bp, at least 163.
        num_targets: number of outputs, 919 for DeepSEA's data.
    """

    def __init__(self, seq_size: int, num_targets: int) -> None:
        first, second, third = CHANNELS
        length = (seq_size - KERNEL + 1) // POOL
        length = (length - KERNEL + 1) // POOL
        length = length - KERNEL + 1
        features = nn.Sequential(
            *_pooled(4, first),
            *_pooled(first, second),
            nn.Conv1d(second, third, KERNEL),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(third * length, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, num_targets),
        )
        super().__init__(OrderedDict(features=features, classifier=classifier))
