"""Matrix products operation by operation, of few channels several operations as one.

Dimension letters: B batch, C channels, L sequence length (bp), R = B·L rows, n operations.
"""

import torch
from torch import Tensor

_COLUMNS = 16
"""Matrices of fewer take a CPU about as long."""


def products(a: Tensor, b: Tensor) -> Tensor:
    """Σ aᵀ b over the rows of (B, L, n, C), operation by operation: (n, C, C)."""
    span = span_of(a.shape[2], a)
    return diagonal_blocks(torch.bmm(matrices_of(a, span).mT, matrices_of(b, span)), span)


def add_product(total: Tensor, d: Tensor, weight: Tensor) -> None:
    """Adds d times a matrix (n, C, C), operation by operation, to (B, L, n, C) in place."""
    span = span_of(d.shape[2], d)
    matrices_of(total, span).baddbmm_(matrices_of(d, span), block_diagonals(weight, span))


def span_of(count: int, d: Tensor) -> int:
    """How many of so many products of d's channels, (B, L, n, C), are best done as one."""
    most = _COLUMNS // d.shape[3] if d.device.type == "cpu" else 1
    return max([span for span in range(1, most + 1) if count % span == 0], default=1)


def matrices_of(x: Tensor, span: int = 1) -> Tensor:
    """Views (B, L, n, C) as matrices of `span` operations each: (n / span, R, span · C)."""
    return x.view(-1, x.shape[2] // span, span * x.shape[3]).transpose(0, 1)


def block_diagonals(matrices: Tensor, span: int) -> Tensor:
    """`span` matrices (n, I, O) each along a diagonal: (n / span, span · I, span · O)."""
    if span == 1:
        return matrices
    count, inputs, outputs = matrices.shape
    blocks = matrices.new_zeros(count // span, span, inputs, span, outputs)
    each = matrices.reshape(-1, span, inputs, outputs).permute(0, 2, 3, 1)
    blocks.diagonal(dim1=1, dim2=3).copy_(each)
    return blocks.view(-1, span * inputs, span * outputs)


def diagonal_blocks(blocks: Tensor, span: int) -> Tensor:
    """The inverse of `block_diagonals`, whatever stands beside the diagonal."""
    if span == 1:
        return blocks
    each = blocks.unflatten(2, (span, -1)).unflatten(1, (span, -1)).diagonal(dim1=1, dim2=3)
    return each.permute(0, 3, 1, 2).flatten(0, 1)
