"""For rows of few channels, what torch computes on a CPU number by number, in whole vectors.

Activations are rows, see `convolutions`. Dimension letters: B batch, C channels, L sequence length
(bp), n operations.
"""

from math import gcd
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from generalNAS_tools.networks.cnn.convolutions import depthwise

_FEW = 4
_SIDE_BY_SIDE = 16
"""Rows that are taken as one, where their number allows."""


def has_few_channels(x: Tensor) -> bool:
    """Whether these forms are the faster ones for rows (..., C)."""
    return x.device.type == "cpu" and x.shape[-1] <= _FEW and x.dtype.itemsize >= 4


def average(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Average pooling that doesn't count the padding: (B, L, C) → (B, L', C)."""
    middles, reach = torch.arange(0, x.shape[1], stride, device=x.device), kernel // 2
    counts = (middles + reach).clamp_max(x.shape[1] - 1) - (middles - reach).clamp_min(0) + 1
    sums = depthwise(x, x.new_ones(x.shape[2], 1, kernel), stride=stride, dilation=1)
    return sums / counts.unsqueeze(1)


def repeat(x: Tensor, count: int) -> Tensor:
    """The same for every operation: (B, L, 1, C) → (B, L, n, C)."""
    copies = torch.eye(x.shape[3], dtype=x.dtype, device=x.device).repeat(1, count)
    return (x.squeeze(2) @ copies).unflatten(2, (count, -1))


def normalise(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm in training mode of (B, L, C), and mean and unbiased variance, (C,) each."""
    result: tuple[Tensor, Tensor, Tensor] = _Normalise.apply(x, eps)
    return result


class _Normalise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        count = x[..., 0].numel()
        wide = x.reshape(-1, gcd(count, _SIDE_BY_SIDE) * x.shape[2])
        mean = _mean(wide, x.shape[2])
        y = wide - _each(mean, wide)
        var = _mean(y * y, x.shape[2])
        scale = _each((var + eps).rsqrt_(), wide)
        ctx.save_for_backward(y.mul_(scale), scale)
        ctx.mark_non_differentiable(mean, var)
        return y.view_as(x), mean, var.mul_(count / (count - 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        wide, channels = grad.reshape(y.shape), grad.shape[2]
        part = wide - _each(_mean(wide, channels), y)
        part.addcmul_(y, _each(_mean(wide * y, channels), y), value=-1).mul_(scale)
        return part.view(grad.shape), None


def _mean(wide: Tensor, channels: int) -> Tensor:
    """Of the rows that stand side by side: (C,)."""
    return wide.mean(0).view(-1, channels).mean(0)


def _each(row: Tensor, wide: Tensor) -> Tensor:
    """The same for each of the rows that stand side by side."""
    return row.repeat(wide.shape[1] // len(row))
