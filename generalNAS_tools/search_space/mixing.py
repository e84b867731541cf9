"""Mixing weights: how much each operation of a supernet counts.

Alphas become mixing weights in `darts_tools.alphas`; here are those that nothing learns.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.genotypes import NONE


class MixingWeights(NamedTuple):
    """One weight per (edge, primitive); 0 where the primitive is inactive.

    Attributes:
        normal: (14, 9), shared by all normal cells.
        reduce: (14, 9), shared by all reduction cells.
        rnn: (36, 5).
    """

    normal: Tensor
    reduce: Tensor
    rnn: Tensor


def mask_mixing(masks: Masks, device: torch.device) -> MixingWeights:
    """Weight 1 for every set primitive but `none`, 0 elsewhere (OSP-NAS, BONAS)."""
    weights = MixingWeights(*(torch.tensor(mask, dtype=torch.float32) for mask in masks))
    for weight in weights:
        weight[:, NONE] = 0.0
    return MixingWeights(*(weight.to(device) for weight in weights))
