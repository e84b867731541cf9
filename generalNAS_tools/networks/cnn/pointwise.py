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
from generalNAS_tools.networks.cnn.operations import is_small

_FEW_COLUMNS = 32
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
    if _side_by_side(d) and is_small(d):
        y = _rows(d) @ torch.block_diag(*weight).t()
        return (y if bias is None else y.add_(bias.flatten())).view_as(d)
    if d.device.type != "cpu" or d.dtype == torch.float64:
        y = torch.empty_like(d)
        torch.bmm(_batches(d), weight.mT, out=_batches(y))
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
        matrices, batches = _slots(total, weight.shape[1]), _batches(d)
        if _side_by_side(d) and is_small(d):
            y = _rows(d) @ _whole(weight, slots, len(total))
            matrices += y.view(-1, *matrices.shape[::2]).transpose(0, 1)
        else:
            for i, slot in enumerate(slots):
                matrices[slot].addmm_(batches[i], weight[i].T)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d, weight = ctx.saved_tensors
        matrices, batches = _slots(grad, weight.shape[1]), _batches(d)
        if _side_by_side(d) and is_small(d):
            some = matrices.transpose(0, 1).flatten(1)
            back = some @ _whole(weight, ctx.slots, len(grad)).t()
            grad_d = back.view_as(d) if ctx.needs_input_grad[1] else None
            products = (_rows(d).t() @ some).view(*d.shape[2:], *matrices.shape[::2])
            return grad, grad_d, products[range(len(weight)), :, ctx.slots].mT, None
        grads = [matrices[slot] for slot in ctx.slots]
        grad_d = torch.empty_like(d) if ctx.needs_input_grad[1] else None
        if grad_d is not None:
            for g, w, out in zip(grads, weight, _batches(grad_d), strict=True):
                torch.matmul(g, w, out=out)
        grad_weight = torch.stack([g.mT @ x for g, x in zip(grads, batches, strict=True)])
        return grad, grad_d, grad_weight, None


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Σ aᵀ b over the rows of (B, L, n, C), operation by operation: (n, C, C)."""
    if not _side_by_side(a):
        return torch.bmm(_batches(a).mT, _batches(b))
    whole = _rows(a).t() @ _rows(b)
    return whole.view(*a.shape[2:], *b.shape[2:]).diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def _add_product(total: Tensor, d: Tensor, weight: Tensor) -> None:
    """Adds d times a matrix (n, C, C), operation by operation, to (B, L, n, C) in place."""
    if _side_by_side(d):
        _rows(total).addmm_(_rows(d), torch.block_diag(*weight))
    else:
        _batches(total).baddbmm_(_batches(d), weight)


def _side_by_side(rows: Tensor) -> bool:
    """Whether one product of all n operations is faster than n, though most of it is for nothing.

    Of few channels it is: a matrix of 4 columns takes a CPU about as long as one of 16.
    """
    operations, channels = rows.shape[2:]
    return rows.device.type == "cpu" and operations > 2 and operations * channels <= _FEW_COLUMNS


def _whole(weight: Tensor, slots: Sequence[int], count: int) -> Tensor:
    """The matrix (n · C, slots · C) from all operations to what each adds to its slot."""
    whole = weight.new_zeros(*weight.shape[:2], count, weight.shape[2])
    whole[range(len(weight)), :, slots] = weight.mT
    return whole.flatten(2).flatten(0, 1)


def _slots(total: Tensor, channels: int) -> Tensor:
    return total.view(len(total), -1, channels)


def _rows(x: Tensor) -> Tensor:
    """Views (B, L, n, C) as one matrix, (R, n · C)."""
    return x.view(-1, x.shape[2] * x.shape[3])


def _batches(rows: Tensor) -> Tensor:
    """Views (B, L, n, C) as n matrices: (n, R, C)."""
    return rows.flatten(0, 1).transpose(0, 1)
