"""What the recurrences of both RHN cells compute with: their inputs, what they save, activations.

The forward pass saves the pre-activations [c, h], the states and the BatchNorm scales; the
backward pass overwrites the pre-activations with their gradients, so that the gradient of each
weight matrix is one product over all time steps afterwards.

T time steps, B batch, H hidden, n edges of a node, m nodes of a group, E active edges.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generalNAS_tools.networks.matrix_product import add_multiplied, multiply
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import IDENTITY, RELU, SIGMOID, TANH, ActivationSpan
from generalNAS_tools.search_space.genotypes import RHN_NODES

STATES = RHN_NODES + 1
Spans = Sequence[ActivationSpan]
INITIAL: Spans = (ActivationSpan(TANH, slice(0, 1)),)
"""The spans of the initial state, a group of one node."""


class RHNInputs(NamedTuple):
    """What a recurrence runs on; `pre`, `w0` and `w` share the dtype of the products.

    Attributes:
        parts: what has one product per time step: a supernet's nodes, a final network's groups.
        norm: BatchNorm of a supernet's states.
        h_mask: dropout mask (B, H) or None.
        mixing: weights of a supernet's activations, (E, 4).
        pre: masked input times the upper half of W0, (T, B, 2H).
        hidden: (B, H), in the dtype of the states.
        w0: lower half of W0, (H, 2H).
        w: weight per node (H, 2H), or per group (H, 2Hm).
    """

    parts: Sequence[Any]
    norm: Norm | None
    h_mask: Tensor | None
    mixing: Tensor | None
    pre: Tensor
    hidden: Tensor
    w0: Tensor
    w: tuple[Tensor, ...]

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """What may need a gradient, in order."""
        return (*self[3:7], *self.w)

    def with_tensors(self, tensors: Sequence[Any]) -> "RHNInputs":
        """These inputs with other `tensors`."""
        mixing, pre, hidden, w0, *w = tensors
        return RHNInputs(*self[:3], mixing, pre, hidden, w0, tuple(w))

    def feed(self, state: Tensor) -> Tensor:
        """A state as it enters a product: masked, in the products' dtype."""
        masked = state if self.h_mask is None else state * self.h_mask
        return masked.to(self.pre.dtype)

    def add_product(self, grad: Tensor, grad_pre: Tensor, weight: Tensor) -> None:
        """Adds to grad (..., H) what reaches a state through `feed(state) @ weight`."""
        if self.h_mask is None and grad.dtype == grad_pre.dtype:
            add_multiplied(grad.view(-1, grad.shape[-1]), grad_pre, weight.t())
            return
        product = multiply(grad_pre, weight.t()).view(grad.shape).to(grad.dtype)
        grad.add_(product if self.h_mask is None else product.mul_(self.h_mask))


class SavedStates(NamedTuple):
    """What the forward pass saves; one time step long if nothing is to be saved.

    Attributes:
        states: (T, 9, B, H).
        scales: factors of the BatchNorm, (T, 9, H); not used by the final network.
        initial: pre-activations of the initial states, (T, B, 2H).
        nodes: pre-activations per supernet node (T, n · B, 2H) or per group (T, B, 2Hm).
    """

    states: Tensor
    scales: Tensor
    initial: Tensor
    nodes: list[Tensor]

    @classmethod
    def empty(cls, inputs: RHNInputs, *, keep: bool) -> "SavedStates":
        """Unwritten memory for all time steps, or for one."""
        pre, hidden, steps = inputs.pre, inputs.hidden, len(inputs.pre) if keep else 1
        states = hidden.new_empty(steps, STATES, *hidden.shape)
        rows = [part.rows(states[0]).numel() // hidden.shape[1] for part in inputs.parts]
        return cls(
            states,
            hidden.new_empty(steps, STATES, hidden.shape[1]),
            torch.empty_like(pre[:steps]),
            [pre.new_empty(steps, n, w.shape[1]) for n, w in zip(rows, inputs.w, strict=True)],
        )


def activate(activation: int, h: Tensor, out: Tensor) -> Tensor:
    """Applies an activation; the identity returns `h` itself."""
    if activation == TANH and h.device.type == "cpu":
        # tanh h = 2 σ(2h) − 1, to ±2e-7 in float32: a CPU takes 5 times as long for tanh.
        return torch.mul(h, 2, out=out).sigmoid_().mul_(2).sub_(1)
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


def activations(h: Tensor, exp: Callable[[Tensor], Tensor] = torch.exp) -> tuple[Tensor, ...]:
    """All by their numbers in `plan`; tanh and sigmoid of one e = exp(−|h|), in float32 to ±1.2e-7.

    They are ±(1 − e²) / (1 + e²) and (1 or e) / (1 + e); a CPU's own tanh takes thrice as long.
    """
    e, negative = exp(-h.abs()), h < 0
    tanh, positive = (1 - e * e) / (1 + e * e), 1 / (1 + e)
    sigmoid = torch.where(negative, e * positive, positive)
    return torch.where(negative, -tanh, tanh), h, sigmoid, torch.relu(h)


def slopes_of(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Their derivatives, by their values."""
    t, _, s, r = values
    return 1 - t * t, torch.ones_like(t), s * (1 - s), (r > 0).to(r.dtype)


def highway(
    pre: Tensor, state: Tensor, spans: Spans, *, out: Tensor, work: Sequence[Tensor]
) -> None:
    """Writes s + σ(c) ∘ (f(h) − s) of a group's m nodes.

    Args:
        pre: [c, h] node by node, (B, 2Hm).
        state: s, (B, H).
        spans: the group's activations.
        out: (m, B, H).
        work: at least two scratch tensors (m, B, H).
    """
    gate, value, _ = _gate_and_value(pre, spans, work)
    torch.lerp(state, value, gate, out=out)


def highway_backward(
    pre: Tensor,
    state: Tensor,
    spans: Spans,
    *,
    grad: Tensor,
    grad_state: Tensor,
    work: Sequence[Tensor],
) -> None:
    """Overwrites `pre` with its gradient and adds to grad_state what skips the product.

    Args:
        pre: as in `highway`, like `state` and `spans`.
        state: (B, H).
        spans: the group's activations.
        grad: gradient of the output, (m, B, H).
        grad_state: (B, H).
        work: at least three scratch tensors (m, B, H).
    """
    gate, value, (both, c, h) = _gate_and_value(pre, spans, work)
    through = torch.mul(grad, gate, out=work[2])
    for activation, nodes in spans:
        if activation == IDENTITY:
            h[nodes].copy_(through[nodes])
        else:
            slope(activation, through[nodes], value[nodes], h[nodes])
    torch.ops.aten.sigmoid_backward(value.sub_(state).mul_(grad), gate, grad_input=c)
    grad_state.add_(torch.sub(grad, through, out=through).sum(0))
    if both is not pre:
        pre.copy_(both)


def _gate_and_value(
    pre: Tensor, spans: Spans, work: Sequence[Tensor]
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    gate, value = work[:2]
    both = pre.to(gate.dtype)
    num, batch, hidden_size = gate.shape
    c, h = both.view(batch, num, 2, hidden_size).permute(2, 1, 0, 3).unbind()
    torch.sigmoid(c, out=gate)
    for activation, nodes in spans:
        if activation == IDENTITY:
            value[nodes].copy_(h[nodes])
        else:
            activate(activation, h[nodes], value[nodes])
    return gate, value, (both, c, h)
