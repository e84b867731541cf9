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
    convolve,
    depthwise,
    fold_norm,
    image,
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
            x: rectified, (B, L, n, C); for a full convolution what all share, (B, L, 1, C),
                before the ReLU.
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
            y = convolve(functional.relu(x.flatten(2)), weight, stride=self.stride)
            # torch's BatchNorm backward reads beyond an expanded weight: contiguous.
            scale = None if scale is None else scale.flatten().contiguous()
            statistics = self._statistics(chosen)
            y = normalise(y, self.norm, statistics=statistics, scale=scale)
            self._store(statistics, chosen)
        else:
            factor, shift = self._factor_and_shift(*self._statistics(chosen), scale)
            weight, bias = weight * factor.view(-1, 1, 1), shift.flatten()
            y = convolve(functional.relu(x.flatten(2)), weight, bias, stride=self.stride)
        return y.unflatten(2, (len(chosen), self.channels))

    def add_into(
        self, total: Tensor, x: Tensor, chosen: Sequence[int], slots: Sequence[int], scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Adds a separable part's results to slots of `total`, (slots, R · C), in place.

        Returns:
            `total` and what is still to be added to every position of the slots, (n, C).
        """
        d, weight, bias = self._folded_pointwise(x, chosen, scale)
        return pointwise_into(total, d, weight, slots), bias

    def each(self, x: Tensor, chosen: Sequence[int], scale: Tensor) -> list[Tensor]:
        """A full part's results (B, L', C) one by one: a grouped convolution is slower."""
        inputs, scales = x.split(1, dim=2), scale.split(1)
        return [
            self(one, [position], row).squeeze(2)
            for one, position, row in zip(inputs, chosen, scales, strict=True)
        ]

    def tensors(self, position: int) -> list[Tensor]:
        """Views of one operation's weights, then its BatchNorm's parameters and statistics."""
        rows = slice(position * self.channels, (position + 1) * self.channels)
        tensors = [*self.parameters(), *list(self.norm.buffers())[:2]]
        return [tensor.detach()[rows] for tensor in tensors]

    def _folded_pointwise(
        self, x: Tensor, chosen: Sequence[int], scale: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Depthwise result, and the 1×1 convolution with BatchNorm and scale folded in."""
        count = len(chosen)
        if self.part.kernel > 1:
            weight = self._take(self.conv, chosen)
            x = depthwise(x, weight, stride=self.stride, dilation=self.part.dilation)
        else:
            x = x[:, :: self.stride].contiguous()
        weight = self._take(self.pointwise, chosen).view(count, self.channels, self.channels)
        if self.training:
            scale, shift = self._affine(scale)
            folded = fold_norm(x, weight, scale, shift=shift, eps=self.norm.eps)
            self._track(folded.mean, folded.var, x.shape[0] * x.shape[1], chosen)
            return folded.d, folded.weight, folded.bias
        factor, shift = self._factor_and_shift(*self._statistics(chosen), scale)
        return x, weight * factor.unsqueeze(2), shift

    def _factor_and_shift(
        self, mean: Tensor, var: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """BatchNorm as factor · z + shift, both (n, C)."""
        shape = (-1, self.channels)
        scale, shift = self._affine(scale)
        factor = (var.view(shape) + self.norm.eps).rsqrt()
        factor = factor if scale is None else factor * scale
        bias = -factor * mean.view(shape)
        return factor, bias if shift is None else bias + shift

    def _affine(self, scale: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Scale and shift of the BatchNorm, both (n, C), unless `scale` replaces them."""
        if scale is not None or not self.norm.affine:
            return scale, None
        shape = (-1, self.channels)
        return self.norm.weight.view(shape), self.norm.bias.view(shape)

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
        """Writes statistics back where `_take` had to copy."""
        if len(chosen) in (1, self.norm.num_features // self.channels):
            return
        for i, position in enumerate(chosen):
            rows = slice(i * self.channels, (i + 1) * self.channels)
            for target, value in zip(self.tensors(position)[-2:], statistics, strict=True):
                target.copy_(value[rows])

    def _take(self, tensor: Tensor, chosen: Sequence[int]) -> Tensor:
        if len(chosen) * self.channels == len(tensor):
            return tensor
        parts = tensor.split(self.channels)
        if len(chosen) == 1:
            return parts[chosen[0]]
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
    """Convolution weights (outputs, inputs, kernel) in ±1/√fan-in, torch's default.

    In channels-last memory like the activations, which spares a copy at every pass.
    """
    bound = (inputs * kernel) ** -0.5
    weight = torch.empty(outputs, kernel, inputs).uniform_(-bound, bound)
    return nn.Parameter(weight.transpose(1, 2))
