"""1×1 convolutions over edge-batched activations, with BatchNorm and mixing folded in.

Activations are rows, see `convolutions`. Dimension letters: B batch, C channels, L sequence length
(bp), R = B·L rows, n operations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from generalNAS_tools.networks.cnn.convolutions import convolve
from generalNAS_tools.networks.cnn.products import (
    add_product,
    block_diagonals,
    diagonal_blocks,
    matrices_of,
    products,
    span_of,
)

_threshold = torch.ops.aten.threshold_backward.grad_input


class Folded(NamedTuple):
    """A 1×1 convolution with the BatchNorm behind it folded in.

    Attributes:
        d: its input less its mean, to be used once and from here, since its gradient is completed
            in place.
        weight: (n, C, C).
        bias: (n, C).
        mean: of the unfolded convolution's results, (n, C); without gradient.
        var: their biased variance, (n, C); without gradient.
    """

    d: Tensor
    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor


def fold_norm(
    d: Tensor, weight: Tensor, scale: Tensor | None, *, shift: Tensor | None, eps: float
) -> Folded:
    """Folds a BatchNorm in training mode into the 1×1 convolutions before it.

    Mean and variance of W d follow from mean m and covariance S of d: W m and diag(W S Wᵀ). So
    neither W d nor its normalised form is ever stored. S is that of d − m: a difference of
    moments would lose all digits where the mean is far from 0.

    Args:
        d: (B, L, n, C), contiguous and used by nobody else; its mean is subtracted in place.
        weight: (n, C, C).
        scale: of the BatchNorm, (n, C), 1 if absent.
        shift: of the BatchNorm, (n, C), 0 if absent.
        eps: of the BatchNorm.
    """
    return Folded(*_FoldNorm.apply(d, weight, scale, shift, eps))


def pointwise(
    d: Tensor, weight: Tensor, bias: Tensor | None = None, *, rectify: bool = False
) -> Tensor:
    """A 1×1 convolution per operation, then perhaps a ReLU, whose result is to be used once.

    Args:
        d: (B, L, n, C).
        weight: (n, C, C).
        bias: (n, C).
        rectify: whether a ReLU follows.
    """
    bias = None if bias is None else bias.to(d.dtype)
    return _Pointwise.apply(d, weight.to(d.dtype), bias, rectify)


def pointwise_into(total: Tensor, d: Tensor, weight: Tensor, slots: Sequence[int]) -> Tensor:
    """Adds a 1×1 convolution per operation to slots of an accumulator, in place.

    Fastest where the slots stand in order, each as often as every other.

    Args:
        total: (slots, R · C), changed and returned.
        d: (B, L, n, C).
        weight: (n, C, C).
        slots: where the n results go.
    """
    return _PointwiseInto.apply(total, d, weight.to(d.dtype), tuple(slots))


class _FoldNorm(Function):
    @staticmethod
    def forward(
        ctx: Any, d: Tensor, weight: Tensor, scale: Tensor | None, shift: Tensor | None, eps: float
    ) -> tuple[Tensor, ...]:
        mean_d = d.flatten(0, 1).mean(0, dtype=weight.dtype)
        d.data.sub_(mean_d)  # unseen by autograd: nobody else uses d
        x = d.to(weight.dtype)
        product = weight @ (products(x, x) / (x.shape[0] * x.shape[1]))
        mean = (weight @ mean_d.unsqueeze(2)).squeeze(2)
        var = (product * weight).sum(2).clamp_min_(0)
        deviation = (var + eps).rsqrt_()
        factor = deviation if scale is None else deviation * scale
        bias = torch.zeros_like(mean) if shift is None else shift.clone()
        ctx.save_for_backward(d, weight, product, deviation, factor)
        result = d.view_as(d)
        ctx.mark_non_differentiable(mean, var, *([] if ctx.needs_input_grad[0] else [result]))
        return result, weight * factor.unsqueeze(2), bias, mean, var

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad, grad_folded, grad_bias = grads[:3]
        d, weight, product, deviation, factor = ctx.saved_tensors
        grad_factor = (grad_folded * weight).sum(2)
        grad_var = (grad_factor * factor * deviation.square() * -0.5).unsqueeze(2)
        grad_d = grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = torch.addcmul(
                grad_folded * factor.unsqueeze(2), grad_var, product, value=2
            )
        if ctx.needs_input_grad[0]:
            rows = d.shape[0] * d.shape[1]
            outer = (2 / rows) * (weight.mT @ (grad_var * weight))
            constant = weight.mT @ (factor * grad_bias / -rows).unsqueeze(2)
            grad += constant.squeeze(2).to(grad.dtype)
            add_product(grad, d, outer.to(grad.dtype))
            grad_d = grad
        grad_scale = grad_factor * deviation if ctx.needs_input_grad[2] else None
        return grad_d, grad_weight, grad_scale, grad_bias if ctx.needs_input_grad[3] else None, None


class _Pointwise(Function):
    @staticmethod
    def forward(ctx: Any, d: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
        y = _pointwise(d, weight, bias)
        if rectify:
            y.relu_()
        ctx.rectify = rectify
        ctx.save_for_backward(d, weight, *([y] if rectify else []))
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d, weight, *outputs = ctx.saved_tensors
        grad = grad.contiguous()
        if ctx.rectify:
            # In place: the depthwise convolution that follows made it for this function alone.
            grad = _threshold(grad, outputs[0], 0, grad_input=grad)
        of_d, of_weight, of_bias, _ = ctx.needs_input_grad
        grad_d = _pointwise(grad, weight.transpose(1, 2), None) if of_d else None
        grad_weight = products(grad, d) if of_weight else None
        grad_bias = grad.flatten(0, 1).sum(0) if of_bias else None
        return grad_d, grad_weight, grad_bias, None


def _pointwise(d: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if d.device.type != "cpu" or d.dtype == torch.float64:
        y = torch.empty_like(d)
        torch.bmm(matrices_of(d), weight.mT, out=matrices_of(y))
        return y if bias is None else y.add_(bias)
    flat = None if bias is None else bias.flatten()
    y = convolve(d.flatten(2), weight.reshape(-1, weight.shape[2], 1), flat, groups=len(weight))
    return y.view_as(d)


class _PointwiseInto(Function):
    @staticmethod
    def forward(
        ctx: Any, total: Tensor, d: Tensor, weight: Tensor, slots: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(d, weight)
        ctx.slots = slots
        ctx.mark_dirty(total)
        matrices = total.view(len(total), -1, d.shape[3])
        if _in_order(slots, len(total)):
            span = span_of(len(total), d)
            inputs, blocks = _by_slot(d, weight, len(total), span)
            if span == 1:
                matrices.baddbmm_(inputs, blocks)
            else:
                y = torch.bmm(inputs, blocks)
                _slots(total, d, span).add_(y.view(*y.shape[:2], span, -1))
            return total
        for slot, one, matrix in zip(slots, matrices_of(d), weight, strict=True):
            matrices[slot].addmm_(one, matrix.T)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d, weight = ctx.saved_tensors
        grad_d = torch.empty_like(d) if ctx.needs_input_grad[1] else None
        if _in_order(ctx.slots, len(grad)):
            span = span_of(len(grad), d)
            inputs, blocks = _by_slot(d, weight, len(grad), span)
            by_slot = _slots(grad, d, span).flatten(2)
            if grad_d is not None:
                each = span * len(weight) // len(grad)
                torch.bmm(by_slot, blocks.mT, out=matrices_of(grad_d, each))
            sums = diagonal_blocks(torch.bmm(inputs.mT, by_slot), span)
            return grad, grad_d, sums.reshape(weight.shape).mT, None
        matrices, inputs = grad.view(len(grad), -1, d.shape[3]), matrices_of(d)
        grads = [matrices[slot] for slot in ctx.slots]
        if grad_d is not None:
            for g, w, out in zip(grads, weight, matrices_of(grad_d), strict=True):
                torch.matmul(g, w, out=out)
        grad_weight = torch.stack([g.mT @ x for g, x in zip(grads, inputs, strict=True)])
        return grad, grad_d, grad_weight, None


def _in_order(slots: Sequence[int], count: int) -> bool:
    """Whether all slots are there, in order, each as often as every other."""
    times = len(slots) // count
    return list(slots) == [slot for slot in range(count) for _ in range(times)]


def _by_slot(d: Tensor, weight: Tensor, count: int, span: int) -> tuple[Tensor, Tensor]:
    """What makes `span` slots each of `count`, k operations a slot, as factors of one product.

    Returns:
        Of d (B, L, n, C) a view (slots / span, R, span · k · C), and of the weights
        (slots / span, span · k · C, span · C).
    """
    stacked = weight.mT.reshape(count, -1, weight.shape[1])
    return matrices_of(d, span * len(weight) // count), block_diagonals(stacked, span)


def _slots(total: Tensor, d: Tensor, span: int) -> Tensor:
    """Views the accumulator (slots, R · C) as (slots / span, R, span, C)."""
    return total.view(len(total) // span, span, -1, d.shape[3]).transpose(1, 2)
