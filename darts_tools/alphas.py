"""The trainable architecture weights (alphas) of the DARTS family and their softmax.

Dimension letters: E edges of a cell, P primitives.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from generalNAS_tools.search_space.edge_masks import BoolArray, Masks
from generalNAS_tools.search_space.mixing import MixingWeights

FloatArray = NDArray[np.float64]
INITIAL_STD = 1e-3


class EdgeWeights(NamedTuple):
    """One number per (edge, primitive), outside of any gradient.

    Attributes:
        normal: (14, 9), normal cells.
        reduce: (14, 9), reduction cells.
        rnn: (36, 5), RHN cell.
    """

    normal: FloatArray
    reduce: FloatArray
    rnn: FloatArray


class Alphas(nn.Module):
    """Alphas of the normal, reduction and RHN cells, each in full shape (E, P).

    Inactive (edge, primitive) pairs start at 0, are left out of the softmax and get no gradient,
    so that neither Adam nor its weight decay moves them. DARTS (Liu et al. 2019), eq. 2.

    Args:
        masks: the active (edge, primitive) pairs.
        generator: CPU source of the initial values, 1e-3 · N(0, 1); torch's own if None.
    """

    def __init__(self, masks: Masks, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        for name, mask in masks._asdict().items():
            active = torch.from_numpy(mask.copy())
            start = INITIAL_STD * torch.randn(active.shape, generator=generator)
            self.register_parameter(name, nn.Parameter(start * active))
            self.register_buffer(f"{name}_mask", active)

    @property
    def masks(self) -> Masks:
        """The active pairs as numpy arrays, copied from the device."""
        return Masks(*(mask.cpu().numpy() for mask in self.buffers()))

    def mixing_weights(self) -> MixingWeights:
        """Softmax over each edge's active primitives, 0 elsewhere; (E, P) each, differentiable."""
        return MixingWeights(*map(_masked_softmax, self.parameters(), self.buffers()))

    def values(self) -> EdgeWeights:
        """The alphas themselves as float64 arrays, copied from the device."""
        return EdgeWeights(*(np.array(p.numpy(force=True), float) for p in self.parameters()))

    def edge_weights(self) -> EdgeWeights:
        """The softmax weights as float64 arrays, from which every decision is made."""
        return EdgeWeights(*map(active_weights, self.values(), self.masks))


def active_weights(alphas: ArrayLike, mask: BoolArray) -> FloatArray:
    """Softmax over each edge's active primitives, 0 elsewhere: (E, P) → (E, P) in float64.

    Raises:
        ValueError: an active alpha is not finite, so nothing can be decided from it.
    """
    from scipy.special import softmax  # slow: not for --help

    if not np.isfinite(np.asarray(alphas)[mask]).all():
        raise ValueError("alphas are not finite; expected numbers: the search diverged")
    # As in `_masked_softmax`: a finite score keeps empty rows free of NaN.
    scores = np.where(mask, np.asarray(alphas, dtype=np.float64), np.finfo(np.float64).min)
    return np.asarray(softmax(scores, axis=1) * mask)


def carry_alphas(old: Alphas, masks: Masks) -> Alphas:
    """Alphas for `masks` that keep the old values of the surviving primitives (CWP-DARTS).

    Raises:
        ValueError: `masks` holds a pair that `old` doesn't.
    """
    if any((new & ~before).any() for new, before in zip(masks, old.masks, strict=True)):
        raise ValueError("masks hold a primitive without old alphas; expected a subset")
    carried = Alphas(masks, generator=torch.Generator()).to(old.get_parameter("normal").device)
    with torch.no_grad():
        for name in Masks._fields:
            active = carried.get_buffer(f"{name}_mask")
            carried.get_parameter(name).copy_(old.get_parameter(name) * active)
    return carried


def _masked_softmax(alphas: Tensor, mask: Tensor) -> Tensor:
    """Softmax within the mask; the lowest finite score, not −inf, keeps empty rows free of NaN."""
    scores = alphas.masked_fill(~mask, torch.finfo(alphas.dtype).min)
    return torch.softmax(scores, dim=-1) * mask
