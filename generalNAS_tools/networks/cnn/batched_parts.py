"""A part of a primitive on a batch of operations: one convolution, one BatchNorm.

Batches of separable parts that differ by their kernel alone may be computed side by side.

Activations are rows, see `convolutions`. Dimension letters: B batch, C channels, L sequence length
(bp), n operations in a batch, R = B·L.
"""

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.networks.cnn.convolutions import convolve, depthwise
from generalNAS_tools.networks.cnn.operations import Part, RowNorm, folds, is_small, join, split
from generalNAS_tools.networks.cnn.pointwise import fold_norm, pointwise, pointwise_into


class BatchedPart(nn.Module):
    """One part of a primitive on a batch of n operations.

    Attributes:
        conv: (n · C, 1 or C, k); absent for a separable part of kernel 1.
        pointwise: (n · C, C, 1), of a separable part.
        step: of a sequence's positions only every step-th is read.
        stride, dilation: what is left of them among these positions.
        norm: BatchNorm over n · C channels; its `momentum` is read at every pass.
    """

    def __init__(
        self, part: Part, operations: int, channels: int, *, stride: int, affine: bool = False
    ) -> None:
        super().__init__()
        self.part, self.channels = part, channels
        self.step = stride if part.kernel == 1 else gcd(stride, part.dilation)
        self.stride, self.dilation = stride // self.step, max(part.dilation // self.step, 1)
        width = operations * channels
        if part.kernel > 1:
            self.conv = _uniform(width, 1 if part.separable else channels, part.kernel)
        if part.separable:
            self.pointwise = _uniform(width, channels, 1)
        self.norm = RowNorm(width, affine=affine)

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
            x: every `step`-th position, rectified, (B, L, n, C); for a full convolution what all
                share, (B, L, 1, C), before the ReLU.
            chosen: positions of the n operations in the batch.
            scale: (n, C), in place of the BatchNorm's own.
            rectify: whether a ReLU follows.

        Returns:
            (B, L', n, C).
        """
        if self.part.separable and folds(x):
            return pointwise(*_fold([Batch(self, chosen)], x, scale), rectify=rectify)
        statistics, bias = self._statistics(chosen), None
        # torch's BatchNorm backward reads beyond an expanded weight: contiguous.
        scale = None if scale is None else scale.flatten().contiguous()
        normalised = self.training or not folds(x)
        if self.part.separable:
            y = _depthwise([Batch(self, chosen)], x)
            y = pointwise(y, self.matrices(chosen)).flatten(2)
        else:
            weight = self._take(self.conv, chosen)
            if not normalised:
                factor, bias = self.norm.running_affine(statistics, scale)
                weight = weight * factor.view(-1, 1, 1)
            y = functional.relu(x.flatten(2))
            y = convolve(y, weight, bias, stride=self.stride, groups=x.shape[2])
        if normalised:
            y = self.norm(y, statistics, scale)
        if self.training:
            self._store(statistics, chosen)
        y = functional.relu(y) if rectify else y
        return y.unflatten(2, (len(chosen), self.channels))

    def each(self, x: Tensor, chosen: Sequence[int], scale: Tensor) -> list[Tensor]:
        """The results (B, L', C); a full part's one by one where a grouped one is slower."""
        if self.part.separable or is_small(x):
            return list(self(x, chosen, scale).unbind(2))
        inputs, scales = x.split(1, dim=2), scale.split(1)
        return [
            self(one, [position], row).squeeze(2)
            for one, position, row in zip(inputs, chosen, scales, strict=True)
        ]

    def tensors(self, position: int) -> list[Tensor]:
        """Views of one operation's weights, then its BatchNorm's parameters and statistics."""
        rows = slice(position * self.channels, (position + 1) * self.channels)
        tensors = [*self.parameters(), *self.norm.statistics]
        return [tensor.detach()[rows] for tensor in tensors]

    def kernels(self, chosen: Sequence[int], size: int) -> Tensor:
        """The separable part's first half, (n, C, size), with zeros at both ends."""
        weight, ends = self._take(self.conv, chosen), (size - self.part.kernel) // 2
        weight = weight.view(len(chosen), self.channels, -1)
        return functional.pad(weight, (ends, ends)) if ends else weight

    def matrices(self, chosen: Sequence[int]) -> Tensor:
        """The separable part's second half, (n, C, C)."""
        return self._take(self.pointwise, chosen).view(len(chosen), self.channels, self.channels)

    def running_affine(self, chosen: Sequence[int], scale: Tensor | None) -> list[Tensor]:
        """The BatchNorm in evaluation mode, as factor and shift, (n, C) each."""
        flat = None if scale is None else scale.flatten()
        affine = self.norm.running_affine(self._statistics(chosen), flat)
        return [own.view(len(chosen), -1) for own in affine]

    def track(self, mean: Tensor, var: Tensor, chosen: Sequence[int]) -> None:
        """Moves the running statistics towards mean and unbiased variance, (n, C) each."""
        statistics = self._statistics(chosen)
        assert self.norm.momentum is not None
        statistics[0].lerp_(mean.flatten(), self.norm.momentum)
        statistics[1].lerp_(var.flatten(), self.norm.momentum)
        self._store(statistics, chosen)

    def _statistics(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        mean, var = self.norm.statistics
        return self._take(mean, chosen), self._take(var, chosen)

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


class Batch(NamedTuple):
    """Operations to compute: positions in a part."""

    part: BatchedPart
    chosen: Sequence[int]


def run_parts(levels: Sequence[Sequence[Batch]], x: Tensor) -> Tensor:
    """Runs the parts before a primitive's last: rectified input → the last part's input.

    Args:
        levels: one after the other, of each what is computed side by side.
        x: (B, L, n, C), see `BatchedPart.forward`.
    """
    for batches in levels:
        part, chosen = batches[0]
        if len(batches) > 1:
            x = pointwise(*_fold(batches, x, None), rectify=True)
        else:
            x = part(x, chosen, rectify=part.part.separable)
    return x


def add_into(
    total: Tensor, batches: Sequence[Batch], x: Tensor, slots: Sequence[int], scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Adds results of separable parts side by side to slots of `total`, (slots, R · C), in place.

    Args:
        total: changed and returned.
        batches: what to compute.
        x: (B, L, n, C), see `BatchedPart.forward`, like `scale`.
        slots: where the n results go.
        scale: (n, C).

    Returns:
        `total` and what is still to be added to every position of the slots, (n, C).
    """
    d, weight, bias = _fold(batches, x, scale)
    return pointwise_into(total, d, weight, slots), bias


def _fold(
    batches: Sequence[Batch], x: Tensor, scale: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Depthwise result, and the 1×1 convolutions with BatchNorm and scale folded in."""
    x, weight = _depthwise(batches, x), join([part.matrices(some) for part, some in batches])
    sizes, norms = [len(some) for _, some in batches], [part.norm for part, _ in batches]
    if not norms[0].training:
        scales = split(scale, sizes) if scale is not None else [None] * len(sizes)
        both = zip(batches, scales, strict=True)
        affine = [part.running_affine(some, own) for (part, some), own in both]
        factor, bias = (join(own) for own in zip(*affine, strict=True))
        return x, weight * factor.unsqueeze(2), bias
    shift = None
    if norms[0].affine:
        scale, shift = (own.view(weight.shape[:2]) for own in (norms[0].weight, norms[0].bias))
    folded = fold_norm(x, weight, scale, shift=shift, eps=norms[0].eps)
    with torch.no_grad():
        rows = x.shape[0] * x.shape[1]
        moments = folded.mean, folded.var * (rows / max(rows - 1, 1))
        statistics = (split(own, sizes) for own in moments)
        for (part, some), mean, var in zip(batches, *statistics, strict=True):
            part.track(mean, var, some)
    return folded.d, folded.weight, folded.bias


def _depthwise(batches: Sequence[Batch], x: Tensor) -> Tensor:
    """The first half of separable parts side by side, in memory of its own."""
    first = batches[0].part
    kernel = max(part.part.kernel for part, _ in batches)
    if kernel == 1:
        return x.clone(memory_format=torch.contiguous_format)
    weight = join([part.kernels(some, kernel) for part, some in batches]).flatten(0, 1)
    return depthwise(x, weight.unsqueeze(1), stride=first.stride, dilation=first.dilation)


def _uniform(outputs: int, inputs: int, kernel: int) -> nn.Parameter:
    """Convolution weights (outputs, inputs, kernel) in ±1/√fan-in, torch's default.

    In channels-last memory like the activations, which spares a copy at every pass.
    """
    bound = (inputs * kernel) ** -0.5
    weight = torch.empty(outputs, kernel, inputs).uniform_(-bound, bound)
    return nn.Parameter(weight.transpose(1, 2))
