"""BatchNorm inside the supernet RHN's recurrence, forward and backward; B batch, H hidden."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

EPS = 1e-5
"""Added to the variance."""


class Norm(NamedTuple):
    """The BatchNorm that all states of a supernet share.

    Attributes:
        mean: running mean, (H,); updated in place.
        var: running variance, (H,); updated in place.
        momentum: None for a cumulative average.
        seen: batches averaged before this pass, used only without momentum.
        training: whether batch statistics are used.
    """

    mean: Tensor
    var: Tensor
    momentum: float | None
    seen: int
    training: bool

    def forward(self, raw: Tensor, number: int, *, out: Tensor, scale: Tensor) -> None:
        """Writes the normalised raw (B, H) and its factor (H,).

        Args:
            raw: the state before BatchNorm.
            number: how many states this pass has normalised before.
            out: (B, H).
            scale: (H,).
        """
        if not self.training:
            torch.rsqrt(self.var + EPS, out=scale)
            torch.sub(raw, self.mean, out=out).mul_(scale)
            return
        momentum = 1 / (self.seen + number + 1) if self.momentum is None else self.momentum
        torch.ops.aten.native_batch_norm.out(
            *(raw, None, None, self.mean, self.var, True, momentum, EPS),
            out=out,
            save_mean=torch.empty_like(scale),
            save_invstd=scale,
        )

    def average(self, moments: Sequence[Tensor], batch: int) -> None:
        """Updates the running statistics as `forward` would, by all states of a pass.

        Args:
            moments: of each state mean and biased variance, (H,).
            batch: sequences that they are of.
        """
        count = len(moments) // 2
        kept = self.seen / (self.seen + count)
        shares = self.mean.new_full((count,), 1 / (self.seen + count))
        if self.momentum is not None:
            kept = (1 - self.momentum) ** count
            ages = torch.arange(count - 1, -1, -1, device=self.mean.device)
            shares = self.momentum * (1 - self.momentum) ** ages.to(self.mean.dtype)
        for running, some, factor in (
            (self.mean, moments[::2], 1.0),
            (self.var, moments[1::2], batch / (batch - 1)),
        ):
            running.mul_(kept).add_(shares @ torch.stack(list(some)), alpha=factor)

    def backward(self, grad: Tensor, state: Tensor, scale: Tensor, *, unit: Tensor) -> Tensor:
        """Gradient before BatchNorm, (B, H), from the normalised state.

        The state is normalised, so it serves as its own input of mean 0 and deviation 1 (`unit`,
        rows of zeros and ones), and the factor as an affine weight.
        """
        if not self.training:
            return grad * scale
        fixed = (None, None, *unit, True, EPS, [True, False, False])
        result: Tensor = torch.ops.aten.native_batch_norm_backward(grad, state, scale, *fixed)[0]
        return result
