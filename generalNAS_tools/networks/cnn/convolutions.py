"""Convolutions over edge-batched activations, arranged so that CPU kernels run at full width.

Activations are rows: (B, L, n, C) in memory, all channels of a position side by side (torch's
channels-last), n operations of C channels each. One-dimensional convolutions run as
two-dimensional ones of height 1 on that memory, where depthwise kernels vectorise over n·C.
Dimension letters: B batch, C channels, L sequence length (bp), n operations.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

_backward = torch.ops.aten.convolution_backward
_STUCK_CHANNELS = 16
"""oneDNN 3.12 never returns from bfloat16 depthwise convolutions of so few channels."""


def to_nchw(rows: Tensor) -> Tensor:
    """Views rows (B, L, …) as an image of height 1 in channels-last memory: (B, W, 1, L)."""
    return rows.flatten(2).transpose(1, 2).unsqueeze(2)


def from_nchw(picture: Tensor) -> Tensor:
    """The inverse of `to_nchw`: (B, W, 1, L) → (B, L, W), contiguous."""
    return picture.squeeze(2).transpose(1, 2).contiguous()


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """Convolution with an odd kernel, padded to ceil(L / stride).

    Args:
        x: (B, L, groups · C_in).
        weight: (W, C_in, k).
        bias: (W,).
        stride: of the convolution.
        groups: of the convolution.

    Returns:
        (B, L', W).
    """
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.shape[1] < stride:
        # torch 2.13 leaves the gradient of the weights unwritten there.
        return convolve(x.float(), weight, bias, stride=stride, groups=groups).to(x.dtype)
    padding = weight.shape[2] // 2
    weight = weight.to(x.dtype).unsqueeze(2)
    bias = None if bias is None else bias.to(x.dtype)
    y = torch.conv2d(to_nchw(x), weight, bias, (1, stride), (0, padding), 1, groups)
    return from_nchw(y)


class RowConv(nn.Conv1d):
    """Convolution of rows (B, L, C_in) with an odd kernel: (B, L, W)."""

    def forward(
        self, rows: Tensor, factor: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """Convolves rows; the results times `factor` plus `shift`, (W,) each."""
        weight = self.weight if factor is None else self.weight * factor.view(-1, 1, 1)
        return convolve(rows, weight, shift)


def depthwise(x: Tensor, weight: Tensor, *, stride: int, dilation: int) -> Tensor:
    """Depthwise convolution with an odd kernel, padded to ceil(L / stride).

    Dilation never reaches the kernel, which is slow with it: neighbouring positions become
    channels.

    Args:
        x: (B, L, n, C).
        weight: (n · C, 1, k).
        stride: of the convolution.
        dilation: of the convolution.

    Returns:
        (B, L', n, C).
    """
    batch, length, *shape = x.shape
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and len(weight) <= _STUCK_CHANNELS:
        return depthwise(x.float(), weight, stride=stride, dilation=dilation).to(x.dtype)
    weight = weight.to(x.dtype)
    x = x.flatten(2)
    if dilation == 1:
        return _Depthwise.apply(x.contiguous(), weight, stride).unflatten(2, shape)
    if length % dilation:
        x = functional.pad(x, (0, 0, 0, -length % dilation))
    folded = x.reshape(batch, -1, dilation * x.shape[2])
    y = _Depthwise.apply(folded, weight.repeat(dilation, 1, 1), 1).reshape(x.shape)
    return y[:, :length:stride].unflatten(2, shape).contiguous()


class _Depthwise(Function):
    """Depthwise convolution of rows (B, L, W) with weights (W, 1, k)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return convolve(x, weight, stride=stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad, padding, step = grad.contiguous(), weight.shape[2] // 2, ctx.stride
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = from_nchw(
                _backward(
                    *(to_nchw(grad), to_nchw(x), weight.unsqueeze(2), None),
                    *((1, step), (0, padding), (1, 1), False, (0, 0), len(weight)),
                    (True, False, False),
                )[0]
            )
        if ctx.needs_input_grad[1]:
            if step > 1:
                spread = torch.zeros_like(x)
                spread[:, ::step] = grad
                grad = spread
            # With the sequence upright oneDNN's gradient of wide kernels is 50 times as fast.
            grad_weight = _backward(
                *(_upright(grad), _upright(x), weight.unsqueeze(3), None),
                *((1, 1), (padding, 0), (1, 1), False, (0, 0), len(weight)),
                (False, True, False),
            )[1].squeeze(3)
        return grad_x, grad_weight, None


def _upright(rows: Tensor) -> Tensor:
    """Views rows (B, L, W) as an image of width 1 in channels-last memory: (B, W, L, 1)."""
    return rows.unsqueeze(2).permute(0, 3, 1, 2)
