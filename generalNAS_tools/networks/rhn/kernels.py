"""What the recurrences of both RHN cells share, forward and backward.

The forward pass keeps the pre-activations [c, h], the states and the BatchNorm scales; the
backward pass overwrites the pre-activations with their gradients, so that the gradient of each
weight matrix is one product over all time steps afterwards.

T time steps, B batch, H hidden, n edges of a node, m nodes of a group.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generalNAS_tools.networks.rhn.plan import IDENTITY, RELU, SIGMOID, TANH, Run
from generalNAS_tools.search_space.genotypes import RHN_NODES

STATES = RHN_NODES + 1
INITIAL = ((TANH, slice(0, 1)),)
"""The runs of the initial state, a group of one node."""


class Drive(NamedTuple):
    """What a recurrence runs on; `pre`, `w0` and `w` share the dtype of the products.

    Attributes:
        pre: masked input times the upper half of W0, (T, B, 2H).
        hidden: (B, H), in the dtype of the states.
        w0: lower half of W0, (H, 2H).
        w: weight per node (H, 2H), or per group (H, 2Hm).
        h_mask: dropout mask (B, H) or None.
    """

    pre: Tensor
    hidden: Tensor
    w0: Tensor
    w: tuple[Tensor, ...]
    h_mask: Tensor | None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What may need a gradient, in order."""
        return (self.pre, self.hidden, self.w0, *self.w)

    def feed(self, state: Tensor) -> Tensor:
        """A state as it enters a product: masked, in the products' dtype."""
        masked = state if self.h_mask is None else state * self.h_mask
        return masked.to(self.pre.dtype)

    def add_product(self, grad: Tensor, grad_pre: Tensor, weight: Tensor) -> None:
        """Adds to grad (..., H) what reaches a state through `feed(state) @ weight`."""
        if self.h_mask is None and grad.dtype == grad_pre.dtype:
            grad.view(-1, grad.shape[-1]).addmm_(grad_pre, weight.t())
            return
        product = (grad_pre @ weight.t()).view(grad.shape).to(grad.dtype)
        grad.add_(product if self.h_mask is None else product.mul_(self.h_mask))


class Tape(NamedTuple):
    """What the forward pass keeps; one time step long if nothing is to be kept.

    Attributes:
        states: (T, 9, B, H).
        scales: factors of the BatchNorm, (T, 9, H); not used by the final network.
        initial: pre-activations of the initial states, (T, B, 2H).
        nodes: pre-activations per supernet node (T, n, B, 2H) or per group (T, B, 2Hm).
    """

    states: Tensor
    scales: Tensor
    initial: Tensor
    nodes: list[Tensor]

    @classmethod
    def empty(cls, drive: Drive, shapes: Sequence[tuple[int, ...]], *, keep: bool) -> "Tape":
        """An unwritten tape with nodes of the given shapes per time step."""
        steps = len(drive.pre) if keep else 1
        batch, hidden_size = drive.hidden.shape
        return cls(
            drive.hidden.new_empty(steps, STATES, batch, hidden_size),
            drive.hidden.new_empty(steps, STATES, hidden_size),
            torch.empty_like(drive.pre[:steps]),
            [drive.pre.new_empty(steps, *shape) for shape in shapes],
        )


def activate(activation: int, h: Tensor, out: Tensor) -> Tensor:
    """Applies an activation; the identity returns `h` itself."""
    if activation == TANH:
        return torch.tanh(h, out=out)
    if activation == SIGMOID:
        return torch.sigmoid(h, out=out)
    if activation == RELU:
        return torch.clamp(h, min=0, out=out)
    return h


def slope(activation: int, grad: Tensor, value: Tensor, out: Tensor) -> Tensor:
    """Gradient before an activation, given its value; the identity returns `grad` itself."""
    if activation == TANH:
        return torch.ops.aten.tanh_backward(grad, value, grad_input=out)
    if activation == SIGMOID:
        return torch.ops.aten.sigmoid_backward(grad, value, grad_input=out)
    if activation == RELU:
        return torch.ops.aten.threshold_backward(grad, value, 0, grad_input=out)
    return grad


def highway(
    pre: Tensor,
    state: Tensor,
    runs: Sequence[Run],
    *,
    out: Tensor,
    work: Sequence[Tensor],
) -> None:
    """Writes s + σ(c) ∘ (f(h) − s) of a group's m nodes.

    Args:
        pre: [c, h] node by node, (B, 2Hm).
        state: s, (B, H).
        runs: the group's activations.
        out: (m, B, H).
        work: at least two scratch tensors (m, B, H).
    """
    gate, value, _ = _gate_and_value(pre, runs, work)
    torch.lerp(state, value, gate, out=out)


def highway_backward(
    pre: Tensor,
    state: Tensor,
    runs: Sequence[Run],
    *,
    grad: Tensor,
    grad_state: Tensor,
    work: Sequence[Tensor],
) -> None:
    """Overwrites `pre` with its gradient and adds to grad_state what skips the product.

    Args:
        pre: as in `highway`, like `state` and `runs`.
        state: (B, H).
        runs: the group's activations.
        grad: gradient of the output, (m, B, H).
        grad_state: (B, H).
        work: at least three scratch tensors (m, B, H).
    """
    gate, value, (both, c, h) = _gate_and_value(pre, runs, work)
    through = torch.mul(grad, gate, out=work[2])
    for activation, part in runs:
        if activation == IDENTITY:
            h[part].copy_(through[part])
        else:
            slope(activation, through[part], value[part], h[part])
    torch.ops.aten.sigmoid_backward(value.sub_(state).mul_(grad), gate, grad_input=c)
    grad_state.add_(torch.sub(grad, through, out=through).sum(0))
    if both is not pre:
        pre.copy_(both)


def _gate_and_value(
    pre: Tensor, runs: Sequence[Run], work: Sequence[Tensor]
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    gate, value = work[:2]
    both = pre.to(gate.dtype)
    num, batch, hidden_size = gate.shape
    c, h = both.view(batch, num, 2, hidden_size).permute(2, 1, 0, 3).unbind()
    torch.sigmoid(c, out=gate)
    for activation, part in runs:
        if activation == IDENTITY:
            value[part].copy_(h[part])
        else:
            activate(activation, h[part], value[part])
    return gate, value, (both, c, h)


def weight_grads(
    drive: Drive, tape: Tape, output: Tensor, fed: Iterable[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of w0 and w, each one product over all time steps.

    Args:
        drive: as in the forward pass.
        tape: with gradients in place of pre-activations.
        output: (T, B, H).
        fed: the states that enter each product with w, (T, ..., B, H).
        needed: which of the gradients are wanted.
    """
    if not any(needed):
        return [None] * len(needed)
    previous = torch.cat([drive.hidden[None], output[:-1]])
    return [
        drive.feed(states).reshape(-1, states.shape[-1]).t() @ z.view(-1, z.shape[-1])
        for states, z in zip(chain([previous], fed), [tape.initial, *tape.nodes], strict=True)
    ]


def take_tape(ctx: Any) -> Tape:
    """Takes the tape out of a context.

    Raises:
        RuntimeError: it is used up.
    """
    if ctx.tape is None:
        raise RuntimeError("the RHN's backward pass overwrites what it saved and runs only once")
    tape: Tape = ctx.tape
    ctx.tape = None
    return tape
