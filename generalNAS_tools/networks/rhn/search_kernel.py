"""A time step of the supernet's RHN, forward and backward: its nodes one by one.

With P_j = Σ_k w_jk a node is s_i = BN(Σ_j [P_j s_j + σ(c_j) ∘ (Σ_k w_jk f_k(h_j) − P_j s_j)]);
all its edges j are computed at once.

T time steps, B batch, H hidden, n edges of a node, E active edges.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from generalNAS_tools.networks.matrix_product import multiply
from generalNAS_tools.networks.rhn.kernels import (
    INITIAL,
    RHNInputs,
    SavedStates,
    activate,
    highway,
    slope,
)
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import NUM_ACTIVATIONS, Node
from generalNAS_tools.networks.rhn.recurrence import Recurrence

SUM = NUM_ACTIVATIONS
"""Row of P, the sum of an edge's mixing weights, after the rows of the activations."""


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
        """Takes the node's rows of mixing (E, 4) and its part of work (..., 8, B, H)."""
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
        gate, mixed, value, *_ = self.work
        torch.sigmoid(c, out=gate)
        torch.mul(rows, self.minus, out=mixed)
        for k in self.node.activations:
            mixed.addcmul_(activate(k, h, value), self.weights[k])
        torch.sum(mixed.mul_(gate), 0, out=out)
        out.view(-1).addmv_(rows.flatten(1).t(), self.weights[SUM].view(-1))


class SearchRecurrence(Recurrence):
    """The recurrence of a supernet, whose parts are nodes.

    Attributes:
        mixers: the nodes with their mixing weights.
        products: per mixing weight and time step the sums that make its gradient, (5, T, E).
    """

    num_scratch = 6

    def __init__(self, inputs: RHNInputs, saved: SavedStates) -> None:
        super().__init__(inputs, saved)
        self.norm, mixing = cast(Norm, inputs.norm), cast(Tensor, inputs.mixing)
        self.mixers = [_Mixer.of(node, mixing, self.work) for node in inputs.parts]
        self.raw = self.grads.new_empty(1, *inputs.hidden.shape)
        self.done = 0
        shape = (NUM_ACTIVATIONS + 1, len(saved.states), len(mixing))
        self.products = self.grads.new_zeros(shape) if mixing.requires_grad else None
        mean = self.norm.mean
        self.unit = torch.stack([torch.zeros_like(mean), torch.ones_like(mean)])

    def write_states(self, t: int, previous: Tensor) -> None:
        """As in `Recurrence`."""
        s, inputs = self.saved.states[t], self.inputs
        highway(self.saved.initial[t], previous, INITIAL, out=self.raw, work=self.first)
        self._normalise(t, 0)
        for i, mixer in enumerate(self.mixers):
            z, rows = self.saved.nodes[i][t], mixer.node.rows(s)
            multiply(inputs.feed(rows).view(-1, s.shape[-1]), inputs.w[i], out=z)
            mixer.forward(z.view(*rows.shape[:2], z.shape[1]), rows, out=self.raw[0])
            self._normalise(t, i + 1)

    def back_to_initial(self, t: int) -> Tensor:
        """As in `Recurrence`."""
        for i, node in reversed(list(enumerate(self.inputs.parts))):
            if node.states:
                self._node(t, i, self._before_norm(t, i + 1))
        return self._before_norm(t, 0)[None]

    def mixing_grad(self) -> Tensor | None:
        """Gradient of the mixing weights, (E, 4), if wanted."""
        if self.products is None:
            return None
        total = self.products.sum(1)
        return (total[:SUM] + total[SUM]).t()

    def _normalise(self, t: int, slot: int) -> None:
        out, scale = self.saved.states[t, slot], self.saved.scales[t, slot]
        self.norm.forward(self.raw[0], self.done, out=out, scale=scale)
        self.done += 1

    def _before_norm(self, t: int, slot: int) -> Tensor:
        state, scale = self.saved.states[t, slot], self.saved.scales[t, slot]
        return self.norm.backward(self.grads[slot], state, scale, unit=self.unit)

    def _node(self, t: int, i: int, grad: Tensor) -> None:
        """Passes the gradient of a node's state before BatchNorm (B, H) on to its edges."""
        node, weights, minus, work = self.mixers[i]
        gate, through, mixed, value, part, grad_h = work
        z, rows = self.saved.nodes[i][t], node.rows(self.saved.states[t])
        both = z.to(rows.dtype)
        c, h = both.view(*rows.shape[:2], both.shape[1]).chunk(2, dim=-1)
        torch.sigmoid(c, out=gate)
        torch.mul(grad, gate, out=through)
        torch.mul(rows, minus, out=mixed)
        for k in node.activations:
            f = activate(k, h, value)
            mixed.addcmul_(f, weights[k])
            self._note_product(k, t, node, through, f, part)
            target = h if k == node.activations[-1] else grad_h
            if k == node.activations[0]:
                torch.mul(slope(k, through, f, part), weights[k], out=target)
            else:
                torch.addcmul(grad_h, slope(k, through, f, part), weights[k], out=target)
        mixed.mul_(through)
        torch.addcmul(mixed, mixed, gate, value=-1, out=c)
        skipped = torch.sub(grad, through, out=through)
        self._note_product(SUM, t, node, skipped, rows, part)
        skipped.mul_(weights[SUM])
        if both is not z:
            z.copy_(both)
        self.inputs.add_product(skipped, z, self.inputs.w[i])
        node.add_to(self.grads, skipped)

    def _note_product(
        self, k: int, t: int, node: Node, a: Tensor, b: Tensor, product: Tensor
    ) -> None:
        """Notes Σ a b per edge, towards the gradient of mixing weight k."""
        if self.products is not None:
            torch.sum(torch.mul(a, b, out=product), (1, 2), out=self.products[k, t, node.edges])
