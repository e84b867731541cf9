"""What the primitives are made of, pools, BatchNorm of rows, and the cells' preprocessing.

Activations are rows, see `convolutions`. Dimension letters: B batch, C channels, L sequence
length (bp), W all channels of a row.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from generalNAS_tools.networks.cnn import few_channels
from generalNAS_tools.networks.cnn.convolutions import RowConv, from_nchw, to_nchw
from generalNAS_tools.networks.cnn.few_channels import has_few_channels

IDENTITY = "skip_connect"
POOLS = ("max_pool_5", "avg_pool_5")
POOL_KERNEL = 5
_SMALL = 1 << 17
"""Numbers of a state, (B, L, C)."""


class Part(NamedTuple):
    """One ReLU–convolution–BatchNorm part of a primitive.

    Attributes:
        kernel: positions of the convolution.
        dilation: its dilation.
        separable: a depthwise convolution and a 1×1 one instead of a full one.
    """

    kernel: int
    dilation: int = 1
    separable: bool = True


PARTS: dict[str, tuple[Part, ...]] = {
    IDENTITY: (Part(1),),
    "sep_conv_15": (Part(15), Part(15)),
    "sep_conv_9": (Part(9), Part(9)),
    "dil_conv_15": (Part(15, dilation=2),),
    "dil_conv_9": (Part(9, dilation=2),),
    "conv_15": (Part(15, separable=False), Part(15, separable=False)),
}
"""Parts of every primitive with weights; a later part has stride 1. `skip_connect` has weights
only where the stride is above 1: a factorized reduce, whose two 1×1 convolutions see the same
input and are therefore one; with a kernel of 1 its depthwise convolution falls away."""


def pool(name: str, x: Tensor, stride: int) -> Tensor:
    """Max or average pooling over 5 positions: (B, L, C) → (B, L', C)."""
    window, step, padding = (1, POOL_KERNEL), (1, stride), (0, POOL_KERNEL // 2)
    if name == "max_pool_5":
        return from_nchw(functional.max_pool2d(to_nchw(x), window, step, padding))
    if has_few_channels(x):
        return few_channels.average(x, POOL_KERNEL, stride)
    return from_nchw(
        functional.avg_pool2d(to_nchw(x), window, step, padding, count_include_pad=False)
    )


_Pair = tuple[Tensor, Tensor]
_Given = _Pair | None


class RowNorm(nn.BatchNorm1d):
    """BatchNorm of rows (B, L, W)."""

    def forward(self, x: Tensor, statistics: _Given = None, scale: Tensor | None = None) -> Tensor:
        """Normalises x; running `statistics` and `scale`, (W,) each, replace the module's own."""
        mean, var = statistics or self.statistics
        weight = self.weight if scale is None else scale
        assert self.momentum is not None
        if self.training and weight is None and has_few_channels(x) and x[..., 0].numel() > 1:
            y, *moments = few_channels.normalise(x, self.eps)
            for running, moment in zip((mean, var), moments, strict=True):
                running.lerp_(moment, self.momentum)
            return y
        return from_nchw(
            functional.batch_norm(
                to_nchw(x), mean, var, weight, self.bias, self.training, self.momentum, self.eps
            )
        )

    def running_affine(self, statistics: _Given = None, scale: Tensor | None = None) -> _Pair:
        """The module in evaluation mode as factor · x + shift, (W,) each."""
        mean, var = statistics or self.statistics
        weight = self.weight if scale is None else scale
        factor = (var + self.eps).rsqrt()
        factor = factor if weight is None else factor * weight
        shift = -factor * mean
        return factor, shift if self.bias is None else shift + self.bias

    @property
    def statistics(self) -> _Pair:
        """Running mean and variance, (W,) each."""
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean, self.running_var


def folds(x: Tensor) -> bool:
    """Whether BatchNorms fold into convolutions: spares a CPU memory, costs a GPU launches."""
    return x.device.type == "cpu"


def is_small(x: Tensor) -> bool:
    """Whether calls take more of a CPU's time than arithmetic does, for (B, L, n, C)."""
    return folds(x) and x[:, :, 0].numel() <= _SMALL


def join(batches: Sequence[Tensor]) -> Tensor:
    """What several batches of operations have, (n, …) each, as one; a single one without a copy.

    Of equally many each the first of every batch stand first, then the second: those of one edge
    are neighbours where all batches have the same edges.
    """
    if len(batches) == 1:
        return batches[0]
    if _equal(map(len, batches)):
        return torch.stack(list(batches), 1).flatten(0, 1)
    return torch.cat(list(batches))


def join_lists(batches: Sequence[Sequence[int]]) -> list[int]:
    """`join` of lists."""
    whole = zip(*batches, strict=True) if _equal(map(len, batches)) else batches
    return list(chain.from_iterable(whole))


def repeat(x: Tensor, count: int) -> Tensor:
    """The same for every operation: (B, L, 1, C) → (B, L, n, C)."""
    if count == 1:
        return x
    return few_channels.repeat(x, count) if has_few_channels(x) else _Repeat.apply(x, count)


class _Repeat(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> Tensor:
        return torch.cat([x] * count, 2)  # faster than a copy of an expanded view

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.sum(2, keepdim=True), None


def split(joined: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """The inverse of `join`, given how many operations each batch has."""
    if _equal(sizes):
        return joined.unflatten(0, (-1, len(sizes))).unbind(1)
    return joined.split(list(sizes))


def _equal(sizes: Iterable[int]) -> bool:
    return len(set(sizes)) == 1


class ReLUConvBN(nn.Module):
    """ReLU, 1×1 convolution, BatchNorm: (B, C_in, L) → rows (B, ceil(L / stride), C_out).

    With a stride it is the 2021 system's factorized reduce, whose two halves see the same,
    unshifted positions and so are one convolution; `conv.weight[: C / 2]` is the first half.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, affine: bool, stride: int = 1
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv = RowConv(in_channels, out_channels, 1, bias=False)
        self.norm = RowNorm(out_channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x: (B, C_in, L) → (B, ceil(L / stride), C_out)."""
        rows = functional.relu(x[:, :, :: self.stride].transpose(1, 2))
        if self.training or not folds(x):
            return self.norm(self.conv(rows))
        return self.conv(rows, *self.norm.running_affine())
