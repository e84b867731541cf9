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

_COLUMNS = 16
"""Matrices of fewer take a CPU about as long."""
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
        product = weight @ (_products(x, x) / (x.shape[0] * x.shape[1]))
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
            _add_product(grad, d, outer.to(grad.dtype))
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
        grad_d = None
        if ctx.needs_input_grad[0]:
            grad_d = _pointwise(grad, weight.transpose(1, 2), None)
        grad_weight = grad_bias = None
        if ctx.needs_input_grad[1]:
            grad_weight = _products(grad, d)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.flatten(0, 1).sum(0)
        return grad_d, grad_weight, grad_bias, None


def _pointwise(d: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if d.device.type != "cpu" or d.dtype == torch.float64:
        y = torch.empty_like(d)
        torch.bmm(_matrices(d), weight.mT, out=_matrices(y))
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
        if _in_order(slots, len(total)):
            span = _span(len(total), d)
            inputs, blocks = _by_slot(d, weight, len(total), span)
            if span == 1:
                _slots(total, d, 1).squeeze(2).baddbmm_(inputs, blocks)
            else:
                y = torch.bmm(inputs, blocks)
                _slots(total, d, span).add_(y.view(*y.shape[:2], span, -1))
            return total
        matrices, inputs = total.view(len(total), -1, d.shape[3]), _matrices(d)
        for i, slot in enumerate(slots):
            matrices[slot].addmm_(inputs[i], weight[i].T)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d, weight = ctx.saved_tensors
        grad_d = torch.empty_like(d) if ctx.needs_input_grad[1] else None
        if _in_order(ctx.slots, len(grad)):
            span = _span(len(grad), d)
            inputs, blocks = _by_slot(d, weight, len(grad), span)
            by_slot = _slots(grad, d, span).flatten(2)
            if grad_d is not None:
                torch.bmm(by_slot, blocks.mT, out=_by_slot(grad_d, weight, len(grad), span)[0])
            products = _diagonal_blocks(torch.bmm(inputs.mT, by_slot), span)
            return grad, grad_d, products.reshape(weight.shape).mT, None
        matrices, inputs = grad.view(len(grad), -1, d.shape[3]), _matrices(d)
        grads = [matrices[slot] for slot in ctx.slots]
        if grad_d is not None:
            for g, w, out in zip(grads, weight, _matrices(grad_d), strict=True):
                torch.matmul(g, w, out=out)
        grad_weight = torch.stack([g.mT @ x for g, x in zip(grads, inputs, strict=True)])
        return grad, grad_d, grad_weight, None


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Σ aᵀ b over the rows of (B, L, n, C), operation by operation: (n, C, C)."""
    span = _span(a.shape[2], a)
    return _diagonal_blocks(torch.bmm(_matrices(a, span).mT, _matrices(b, span)), span)


def _add_product(total: Tensor, d: Tensor, weight: Tensor) -> None:
    """Adds d times a matrix (n, C, C), operation by operation, to (B, L, n, C) in place."""
    span = _span(d.shape[2], d)
    _matrices(total, span).baddbmm_(_matrices(d, span), _block_diagonals(weight, span))


def _span(count: int, d: Tensor) -> int:
    """How many of so many products of d's channels, (B, L, n, C), are best done as one."""
    most = _COLUMNS // d.shape[3] if d.device.type == "cpu" else 1
    return max([span for span in range(1, most + 1) if count % span == 0], default=1)


def _matrices(x: Tensor, span: int = 1) -> Tensor:
    """Views (B, L, n, C) as matrices of `span` operations each: (n / span, R, span · C)."""
    return x.view(-1, x.shape[2] // span, span * x.shape[3]).transpose(0, 1)


def _block_diagonals(matrices: Tensor, span: int) -> Tensor:
    """`span` matrices (n, I, O) each along a diagonal: (n / span, span · I, span · O)."""
    if span == 1:
        return matrices
    count, inputs, outputs = matrices.shape
    blocks = matrices.new_zeros(count // span, span, inputs, span, outputs)
    each = matrices.reshape(-1, span, inputs, outputs).permute(0, 2, 3, 1)
    blocks.diagonal(dim1=1, dim2=3).copy_(each)
    return blocks.view(-1, span * inputs, span * outputs)


def _diagonal_blocks(blocks: Tensor, span: int) -> Tensor:
    """The inverse of `_block_diagonals`, whatever stands beside the diagonal."""
    if span == 1:
        return blocks
    each = blocks.unflatten(2, (span, -1)).unflatten(1, (span, -1)).diagonal(dim1=1, dim2=3)
    return each.permute(0, 3, 1, 2).flatten(0, 1)


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
    return _matrices(d, span * len(weight) // count), _block_diagonals(stacked, span)


def _slots(total: Tensor, d: Tensor, span: int) -> Tensor:
    """Views the accumulator (slots, R · C) as (slots / span, R, span, C)."""
    return total.view(len(total) // span, span, -1, d.shape[3]).transpose(1, 2)
