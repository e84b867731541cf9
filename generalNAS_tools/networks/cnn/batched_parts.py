"""A part of a primitive on a batch of operations: one convolution, one BatchNorm.

Activations are rows, see `convolutions`. Dimension letters: B batch, C channels, L sequence length
(bp), n operations in a batch, R = B·L.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.networks.cnn.convolutions import convolve, depthwise
from generalNAS_tools.networks.cnn.operations import (
    Part,
    folds,
    normalise,
    running_affine,
    statistics_of,
)
from generalNAS_tools.networks.cnn.pointwise import fold_norm, pointwise, pointwise_into


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
            rectify: whether a ReLU follows.

        Returns:
            (B, L', n, C).
        """
        if self.part.separable and folds(x):
            return pointwise(*self._folded_pointwise(x, chosen, scale), rectify=rectify)
        statistics, bias = self._statistics(chosen), None
        # torch's BatchNorm backward reads beyond an expanded weight: contiguous.
        scale = None if scale is None else scale.flatten().contiguous()
        normalised = self.training or not folds(x)
        if self.part.separable:
            y = pointwise(self._depthwise(x, chosen), self._matrices(chosen)).flatten(2)
        else:
            weight = self._take(self.conv, chosen)
            if not normalised:
                factor, bias = running_affine(self.norm, statistics=statistics, scale=scale)
                weight = weight * factor.view(-1, 1, 1)
            y = convolve(functional.relu(x.flatten(2)), weight, bias, stride=self.stride)
        if normalised:
            y = normalise(y, self.norm, statistics=statistics, scale=scale)
        if self.training:
            self._store(statistics, chosen)
        y = functional.relu(y) if rectify else y
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
        """The results (B, L', C); a full part's one by one: a grouped convolution is slower."""
        if self.part.separable:
            return list(self(x, chosen, scale).unbind(2))
        inputs, scales = x.split(1, dim=2), scale.split(1)
        return [
            self(one, [position], row).squeeze(2)
            for one, position, row in zip(inputs, chosen, scales, strict=True)
        ]

    def tensors(self, position: int) -> list[Tensor]:
        """Views of one operation's weights, then its BatchNorm's parameters and statistics."""
        rows = slice(position * self.channels, (position + 1) * self.channels)
        tensors = [*self.parameters(), *statistics_of(self.norm)]
        return [tensor.detach()[rows] for tensor in tensors]

    def _folded_pointwise(
        self, x: Tensor, chosen: Sequence[int], scale: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Depthwise result, and the 1×1 convolution with BatchNorm and scale folded in."""
        count, x, weight = len(chosen), self._depthwise(x, chosen), self._matrices(chosen)
        if not self.training:
            flat = None if scale is None else scale.flatten()
            statistics = self._statistics(chosen)
            factor, bias = running_affine(self.norm, statistics=statistics, scale=flat)
            return x, weight * factor.view(count, -1, 1), bias.view(count, -1)
        shift = None
        if self.norm.affine:
            scale, shift = (own.view(count, -1) for own in (self.norm.weight, self.norm.bias))
        folded = fold_norm(x, weight, scale, shift=shift, eps=self.norm.eps)
        self._track(folded.mean, folded.var, x.shape[0] * x.shape[1], chosen)
        return folded.d, folded.weight, folded.bias

    def _depthwise(self, x: Tensor, chosen: Sequence[int]) -> Tensor:
        """The separable part's first half, in memory of its own."""
        if self.part.kernel == 1:
            return x[:, :: self.stride].clone(memory_format=torch.contiguous_format)
        weight = self._take(self.conv, chosen)
        return depthwise(x, weight, stride=self.stride, dilation=self.part.dilation)

    def _matrices(self, chosen: Sequence[int]) -> Tensor:
        """The separable part's second half, (n, C, C)."""
        return self._take(self.pointwise, chosen).view(len(chosen), self.channels, self.channels)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, rows: int, chosen: Sequence[int]) -> None:
        statistics = self._statistics(chosen)
        assert self.norm.momentum is not None
        statistics[0].lerp_(mean.flatten(), self.norm.momentum)
        statistics[1].lerp_(var.flatten() * (rows / max(rows - 1, 1)), self.norm.momentum)
        self._store(statistics, chosen)

    def _statistics(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        mean, var = statistics_of(self.norm)
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


def run_parts(parts: Sequence[BatchedPart], x: Tensor, chosen: Sequence[int]) -> Tensor:
    """Runs the parts before a primitive's last: rectified input → the last part's input."""
    for part in parts:
        x = part(x, chosen, rectify=part.part.separable)
    return x


def _uniform(outputs: int, inputs: int, kernel: int) -> nn.Parameter:
    """Convolution weights (outputs, inputs, kernel) in ±1/√fan-in, torch's default.

    In channels-last memory like the activations, which spares a copy at every pass.
    """
    bound = (inputs * kernel) ** -0.5
    weight = torch.empty(outputs, kernel, inputs).uniform_(-bound, bound)
    return nn.Parameter(weight.transpose(1, 2))
