"""The supernet RHN's recurrence as an autograd function with hand-written backward.

With P_j = Σ_k w_jk a node is s_i = BN(Σ_j [P_j s_j + σ(c_j) ∘ (Σ_k w_jk f_k(h_j) − P_j s_j)]);
all its edges j are computed at once.

T time steps, B batch, H hidden, n edges of a node, E active edges.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from generalNAS_tools.networks.rhn.kernels import (
    INITIAL,
    STATES,
    Drive,
    Tape,
    activate,
    highway,
    highway_backward,
    slope,
    take_tape,
    weight_grads,
)
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import NUM_ACTIVATIONS, Node
from generalNAS_tools.search_space.genotypes import RHN_NODES

SUM = NUM_ACTIVATIONS
"""Row of P, the sum of an edge's mixing weights, after the rows of the activations."""


class SearchRecurrence(torch.autograd.Function):
    """(nodes, norm, h_mask, mixing, pre, hidden, w0, *w) → (T, B, H)."""

    @staticmethod
    def forward(
        ctx: Any, nodes: Sequence[Node], norm: Norm, h_mask: Tensor | None, *tensors: Tensor
    ) -> Tensor:
        """Runs the recurrence and keeps its tape; mixing: (E, 4), the other tensors as in Drive."""
        mixing, pre, hidden, w0, *w = tensors
        drive = Drive(pre, hidden, w0, tuple(w), h_mask)
        output, ctx.tape = search_forward(drive, nodes, norm, mixing, keep=True)
        ctx.nodes, ctx.norm = nodes, norm
        ctx.save_for_backward(output, h_mask, *tensors)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Runs the recurrence backwards and uses up its tape."""
        output, h_mask, mixing, pre, hidden, w0, *w = ctx.saved_tensors
        drive, tape = Drive(pre, hidden, w0, tuple(w), h_mask), take_tape(ctx)
        with torch.autocast(grad.device.type, enabled=False):
            run = _Backward(drive, tape, ctx.norm, nodes=ctx.nodes, mixing=mixing)
            grad_hidden = run.all_steps(output, grad)
            fed = (node.rows(tape.states, 1) for node in ctx.nodes)
            grads = weight_grads(drive, tape, output, fed, ctx.needs_input_grad[6:])
        return None, None, None, run.mixing_grad(), tape.initial, grad_hidden, *grads


def search_forward(
    drive: Drive, nodes: Sequence[Node], norm: Norm, mixing: Tensor, *, keep: bool
) -> tuple[Tensor, Tape]:
    """The supernet's recurrence: output (T, B, H) and the tape; mixing: (E, 4)."""
    batch, hidden_size = drive.hidden.shape
    tape = Tape.empty(
        drive, [(len(node.states), batch, 2 * hidden_size) for node in nodes], keep=keep
    )
    output = drive.hidden.new_empty(len(drive.pre), batch, hidden_size)
    raw = drive.hidden.new_empty(1, batch, hidden_size)
    work = drive.hidden.new_empty(3, RHN_NODES, batch, hidden_size)
    mixers = [_Mixer.of(node, mixing, work) for node in nodes]
    first = work[:, :1].unbind()
    for t in range(len(output)):
        at = t if keep else 0
        s, scales = tape.states[at], tape.scales[at]
        previous, done = output[t - 1] if t else drive.hidden, t * STATES
        torch.addmm(drive.pre[t], drive.feed(previous), drive.w0, out=tape.initial[at])
        highway(tape.initial[at], previous, INITIAL, out=raw, work=first)
        norm.forward(raw[0], done, out=s[0], scale=scales[0])
        for i, mixer in enumerate(mixers):
            z, rows = tape.nodes[i][at], mixer.node.rows(s)
            fed = drive.feed(rows).view(-1, hidden_size)
            torch.mm(fed, drive.w[i], out=z.view(-1, 2 * hidden_size))
            mixer.forward(z, rows, out=raw[0])
            norm.forward(raw[0], done + i + 1, out=s[i + 1], scale=scales[i + 1])
        torch.mean(s[1:], 0, out=output[t])
    return output, tape


class _Mixer(NamedTuple):
    """A node with its mixing weights and scratch, as views made before the time steps.

    Attributes:
        node: the node.
        weights: per activation (n, 1, 1), and their sum.
        minus: the negative sum, (n, 1, 1).
        work: scratch tensors (n, B, H).
    """

    node: Node
    weights: tuple[Tensor, ...]
    minus: Tensor
    work: tuple[Tensor, ...]

    @classmethod
    def of(cls, node: Node, mixing: Tensor, work: Tensor) -> "_Mixer":
        """Takes the node's rows of mixing (E, 4) and its part of work (..., 9, B, H)."""
        rows = mixing[node.edges]
        total = rows.sum(1, keepdim=True)
        weights = torch.cat([rows, total, -total], 1).t()[..., None, None].contiguous().unbind()
        return cls(node, weights[:-1], weights[-1], work[:, : len(rows)].unbind())

    def forward(self, pre: Tensor, rows: Tensor, *, out: Tensor) -> None:
        """Writes the state before BatchNorm (B, H).

        Args:
            pre: [c, h] of the edges, (n, B, 2H).
            rows: the predecessors, (n, B, H).
            out: (B, H).
        """
        c, h = pre.to(rows.dtype).chunk(2, dim=-1)
        gate, mixed, value = self.work
        torch.sigmoid(c, out=gate)
        torch.mul(rows, self.minus, out=mixed)
        for k in self.node.activations:
            mixed.addcmul_(activate(k, h, value), self.weights[k])
        torch.sum(mixed.mul_(gate), 0, out=out)
        out.view(-1).addmv_(rows.flatten(1).t(), self.weights[SUM].view(-1))


class _Backward:
    """The way back through the supernet's recurrence; its buffers serve all time steps."""

    def __init__(
        self, drive: Drive, tape: Tape, norm: Norm, *, nodes: Sequence[Node], mixing: Tensor
    ) -> None:
        self.drive, self.norm, self.tape = drive, norm, tape
        self.grads = torch.empty_like(tape.states[0])
        self.work = self.grads.new_empty(6, *self.grads.shape)
        self.mixers = [_Mixer.of(node, mixing, self.work) for node in nodes]
        shape = (NUM_ACTIVATIONS + 1, len(tape.states), len(mixing))
        self.dots = self.grads.new_zeros(shape) if mixing.requires_grad else None
        self.unit = torch.stack([torch.zeros_like(norm.mean), torch.ones_like(norm.mean)])

    def all_steps(self, output: Tensor, grad: Tensor) -> Tensor:
        """Overwrites the tape's pre-activations with gradients; returns that of hidden, (B, H)."""
        drive, tape, grads = self.drive, self.tape, self.grads
        carry, first = torch.zeros_like(drive.hidden), self.work[:, :1].unbind()
        for t in reversed(range(len(output))):
            grads[0].zero_()
            grads[1:] = carry.add_(grad[t]).div_(RHN_NODES)
            for i in reversed(range(RHN_NODES)):
                if self.mixers[i].node.states:
                    self._node(t, i, self._norm(t, i + 1))
            z, previous = tape.initial[t], output[t - 1] if t else drive.hidden
            raw, carry = self._norm(t, 0)[None], carry.zero_()
            highway_backward(z, previous, INITIAL, grad=raw, grad_state=carry, work=first)
            drive.add_product(carry, z, drive.w0)
        return carry

    def mixing_grad(self) -> Tensor | None:
        """Gradient of the mixing weights, (E, 4), if wanted."""
        if self.dots is None:
            return None
        total = self.dots.sum(1)
        return (total[:SUM] + total[SUM]).t()

    def _norm(self, t: int, slot: int) -> Tensor:
        state, scale = self.tape.states[t, slot], self.tape.scales[t, slot]
        return self.norm.backward(self.grads[slot], state, scale, unit=self.unit)

    def _node(self, t: int, i: int, grad: Tensor) -> None:
        """Passes the gradient of a node's state before BatchNorm (B, H) on to its edges."""
        node, weights, minus, work = self.mixers[i]
        gate, through, mixed, value, part, grad_h = work
        z, rows = self.tape.nodes[i][t], node.rows(self.tape.states[t])
        both = z.to(rows.dtype)
        c, h = both.chunk(2, dim=-1)
        torch.sigmoid(c, out=gate)
        torch.mul(grad, gate, out=through)
        torch.mul(rows, minus, out=mixed)
        for k in node.activations:
            f = activate(k, h, value)
            mixed.addcmul_(f, weights[k])
            self._dot(k, t, node, through, f, part)
            target = h if k == node.activations[-1] else grad_h
            if k == node.activations[0]:
                torch.mul(slope(k, through, f, part), weights[k], out=target)
            else:
                torch.addcmul(grad_h, slope(k, through, f, part), weights[k], out=target)
        mixed.mul_(through)
        torch.addcmul(mixed, mixed, gate, value=-1, out=c)
        skipped = torch.sub(grad, through, out=through)
        self._dot(SUM, t, node, skipped, rows, part)
        skipped.mul_(weights[SUM])
        if both is not z:
            z.copy_(both)
        self.drive.add_product(skipped, z.view(-1, z.shape[-1]), self.drive.w[i])
        node.add_to(self.grads, skipped)

    def _dot(self, k: int, t: int, node: Node, a: Tensor, b: Tensor, product: Tensor) -> None:
        """Notes Σ a b per edge, towards the gradient of mixing weight k."""
        if self.dots is not None:
            torch.sum(torch.mul(a, b, out=product), (1, 2), out=self.dots[k, t, node.edges])
