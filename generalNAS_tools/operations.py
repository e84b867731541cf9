"""What the primitives are made of: parts with BatchNorm over a batch of operations, pools.

Activations are rows, see `convolutions`. Dimension letters: B batch, C channels, L sequence
length (bp), n operations in a batch, R = B·L.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.convolutions import (
    add_into,
    convolve,
    convolve_groups,
    depthwise,
    image,
    moments,
    pointwise,
    pointwise_into,
    rows_of,
)

IDENTITY = "skip_connect"
POOLS = ("max_pool_5", "avg_pool_5")
_POOL_KERNEL = 5


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
    window, step, padding = (1, _POOL_KERNEL), (1, stride), (0, _POOL_KERNEL // 2)
    if name == "max_pool_5":
        return rows_of(functional.max_pool2d(image(x), window, step, padding))
    return rows_of(functional.avg_pool2d(image(x), window, step, padding, count_include_pad=False))


def normalise(
    x: Tensor,
    norm: nn.BatchNorm1d,
    *,
    statistics: tuple[Tensor, Tensor] | None = None,
    scale: Tensor | None = None,
) -> Tensor:
    """BatchNorm of rows (B, L, W); running `statistics` and `scale` replace the module's own."""
    mean, var = statistics or (norm.running_mean, norm.running_var)
    weight = norm.weight if scale is None else scale
    assert norm.momentum is not None
    return rows_of(
        functional.batch_norm(
            image(x), mean, var, weight, norm.bias, norm.training, norm.momentum, norm.eps
        )
    )


class BatchedPart(nn.Module):
    """One part of a primitive on a batch of n operations.

    Attributes:
        conv: (n · C, 1 or C, k); absent for a separable part of kernel 1.
        pointwise: (n · C, C, 1), of a separable part.
        norm: BatchNorm over n · C channels; its `momentum` is read at every pass.
    """

    def __init__(
        self, part: Part, operations: int, channels: int, *, stride: int, affine: bool = False
    ) -> None:
        super().__init__()
        self.part, self.channels, self.stride = part, channels, stride
        width = operations * channels
        if part.kernel > 1:
            self.conv = _uniform(width, 1 if part.separable else channels, part.kernel)
        if part.separable:
            self.pointwise = _uniform(width, channels, 1)
        self.norm = nn.BatchNorm1d(width, affine=affine)

    def forward(
        self,
        x: Tensor,
        chosen: Sequence[int],
        scale: Tensor | None = None,
        *,
        rectify: bool = False,
    ) -> Tensor:
        """Convolution and BatchNorm of the chosen operations.

        Args:
            x: rectified, (B, L, n, C); a full convolution rectifies it itself, and takes one
                that all share as (B, L, 1, C).
            chosen: positions of the n operations in the batch.
            scale: (n, C), in place of the BatchNorm's own.
            rectify: whether a ReLU follows a separable part.

        Returns:
            (B, L', n, C).
        """
        if self.part.separable:
            return pointwise(*self._folded_pointwise(x, chosen, scale), rectify=rectify)
        weight = self._take(self.conv, chosen)
        if self.training:
            y = self._convolve(x, weight, None, len(chosen))
            # torch's BatchNorm backward reads beyond an expanded weight: contiguous.
            scale = None if scale is None else scale.flatten().contiguous()
            statistics = self._statistics(chosen)
            y = normalise(y.flatten(2), self.norm, statistics=statistics, scale=scale)
            self._store(statistics, chosen)
            return y.unflatten(2, (len(chosen), self.channels))
        factor, shift = self._factor_and_shift(*self._statistics(chosen), scale)
        return self._convolve(x, weight * factor.view(-1, 1, 1), shift.flatten(), len(chosen))

    def add_into(
        self, total: Tensor, x: Tensor, chosen: Sequence[int], slots: Sequence[int], scale: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Adds the results to slots of `total`, (slots, R · C), in place.

        Returns:
            `total` and what is still to be added to every position of the slots, (n, C).
        """
        if not self.part.separable:
            return add_into(total, self(x, chosen, scale), slots), None
        d, weight, bias = self._folded_pointwise(x, chosen, scale)
        return pointwise_into(total, d, weight, slots), bias

    def tensors(self, position: int) -> list[Tensor]:
        """Views of one operation's weights, then its BatchNorm's parameters and statistics."""
        rows = slice(position * self.channels, (position + 1) * self.channels)
        tensors = [*self.parameters(), *list(self.norm.buffers())[:2]]
        return [tensor.detach()[rows] for tensor in tensors]

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, count: int) -> Tensor:
        if x.shape[2] == count > 1:
            return convolve_groups(x, weight, bias)
        y = convolve(functional.relu(x).flatten(2), weight, bias, stride=self.stride)
        return y.unflatten(2, (count, self.channels))

    def _folded_pointwise(
        self, x: Tensor, chosen: Sequence[int], scale: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Depthwise result, and the 1×1 convolution with the BatchNorm and the scale folded in.

        Mean and variance of W d follow from those of d: W m and diag(W S Wᵀ).
        """
        count = len(chosen)
        if self.part.kernel > 1:
            weight = self._take(self.conv, chosen)
            x = depthwise(x, weight, stride=self.stride, dilation=self.part.dilation)
        else:
            x = x[:, :: self.stride].contiguous()
        weight = self._take(self.pointwise, chosen).view(count, self.channels, self.channels)
        mean, var = self._statistics(chosen)
        if self.training:
            x, mean_d, covariance = moments(x)
            mean = (weight @ mean_d.unsqueeze(2)).squeeze(2)
            var = ((weight @ covariance) * weight).sum(2).clamp_min(0)
            self._track(mean, var, x.shape[0] * x.shape[1], chosen)
        factor, shift = self._factor_and_shift(mean, var, scale)
        return x, weight * factor.unsqueeze(2), shift

    def _factor_and_shift(
        self, mean: Tensor, var: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """BatchNorm as factor · z + shift, both (n, C)."""
        shape = (-1, self.channels)
        factor = (var.view(shape) + self.norm.eps).rsqrt()
        if scale is not None:
            factor = factor * scale
        elif self.norm.affine:
            factor = factor * self.norm.weight.view(shape)
        shift = -factor * mean.view(shape)
        return factor, shift + self.norm.bias.view(shape) if self.norm.affine else shift

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, rows: int, chosen: Sequence[int]) -> None:
        statistics = self._statistics(chosen)
        assert self.norm.momentum is not None
        statistics[0].lerp_(mean.flatten(), self.norm.momentum)
        statistics[1].lerp_(var.flatten() * (rows / max(rows - 1, 1)), self.norm.momentum)
        self._store(statistics, chosen)

    def _statistics(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return self._take(norm.running_mean, chosen), self._take(norm.running_var, chosen)

    def _store(self, statistics: tuple[Tensor, Tensor], chosen: Sequence[int]) -> None:
        """Writes statistics of a part of the batch back; those of all of it are no copies."""
        if statistics[0] is self.norm.running_mean:
            return
        for i, position in enumerate(chosen):
            rows = slice(i * self.channels, (i + 1) * self.channels)
            for target, value in zip(self.tensors(position)[-2:], statistics, strict=True):
                target.copy_(value[rows])

    def _take(self, tensor: Tensor, chosen: Sequence[int]) -> Tensor:
        if len(chosen) * self.channels == len(tensor):
            return tensor
        parts = tensor.split(self.channels)
        return torch.cat([parts[position] for position in chosen])


def run_parts(parts: Sequence[BatchedPart], x: Tensor, chosen: Sequence[int]) -> Tensor:
    """Runs the parts before a primitive's last: rectified input → the last part's input."""
    for part in parts:
        x = part(x, chosen, rectify=part.part.separable)
    return x


class ReLUConvBN(nn.Module):
    """ReLU, 1×1 convolution, BatchNorm: (B, C_in, L) → rows (B, ceil(L / stride), C_out)."""

    def __init__(
        self, in_channels: int, out_channels: int, *, affine: bool, stride: int = 1
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(out_channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x: (B, C_in, L) → (B, ceil(L / stride), C_out)."""
        rows = functional.relu(x[:, :, :: self.stride].transpose(1, 2))
        return normalise(convolve(rows, self.conv.weight), self.norm)


class FactorizedReduce(ReLUConvBN):
    """The reduction of the 2021 system: its two halves see the same, unshifted positions.

    So it is one 1×1 convolution with a stride; `conv.weight[: C / 2]` is the first half.
    """


def _uniform(outputs: int, inputs: int, kernel: int) -> nn.Parameter:
    """Convolution weights in ±1/√fan-in, torch's default."""
    bound = (inputs * kernel) ** -0.5
    return nn.Parameter(torch.empty(outputs, inputs, kernel).uniform_(-bound, bound))
