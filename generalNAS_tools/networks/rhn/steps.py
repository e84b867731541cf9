"""A time step of an RHN, forward and backward, as functions of tensors for torch to compile.

The kernels of `recurrence` write into memory of their own, which a compiler can't fuse. Here a
state meets the matrices of all nodes that it feeds in one product; whatever lies between two
products is one kernel. All edges of a supernet are computed, so one pair of functions serves every
mask.

T time steps, B batch, H hidden, m nodes that a state feeds, E edges.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from generalNAS_tools.networks.matrix_product import multiply
from generalNAS_tools.networks.rhn.kernels import activations, slopes_of
from generalNAS_tools.networks.rhn.norm import EPS
from generalNAS_tools.networks.rhn.plan import INITIAL_EDGE, Edge, Edges


class _Mixed:
    """What an edge makes of its pre-activations z (B, 2H) and its state s (B, H).

    It is P s + σ(c)(Σ w_k f_k(h) − P s) for weights w_k of activations f_k, P their sum.
    """

    def __init__(self, edge: Edge, z: Tensor, state: Tensor, mixing: Tensor | None) -> None:
        c, self.h = z.to(state.dtype).chunk(2, 1)
        self.gate, self.state = torch.sigmoid(c), state
        self.weights: dict[int, Tensor | float] = {edge.activation: 1.0}
        if edge.row is not None and mixing is not None:
            self.weights = dict(enumerate(mixing.select(0, edge.row).unbind()))
        self.total = sum(self.weights.values())
        self.values = activations(self.h)
        self.skipping = self.total * state
        self.gain = sum(w * self.values[k] for k, w in self.weights.items()) - self.skipping

    def forward(self) -> Tensor:
        return self.skipping + self.gate * self.gain

    def backward(self, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of c and h, and of the state but for what passes through the product."""
        through = grad * self.gate
        slopes = slopes_of(self.values)
        slope = sum(w * slopes[k] for k, w in self.weights.items())
        return through * self.gain * (1 - self.gate), through * slope, self.total * (grad - through)


def _exp(x: Tensor) -> Tensor:
    """eˣ by an operation that torch's compiler does again for its second reader.

    On a CPU it writes an exponential with two readers to memory, which takes a sum over all time
    steps four times as long.
    """
    return torch.exp2(x * math.log2(math.e))


class _Fixed(NamedTuple):
    """What all time steps share.

    Attributes:
        w: matrices (H, 2Hm), of the initial state first.
        h_mask: dropout mask (B, H), if any.
        mixing: (E, 4), if any.
        running: mean and variance (H,), where they normalise.
    """

    w: Sequence[Tensor]
    h_mask: Tensor | None
    mixing: Tensor | None
    running: Sequence[Tensor]

    def feed(self, state: Tensor) -> Tensor:
        masked = state if self.h_mask is None else state * self.h_mask
        return masked.to(self.w[0].dtype)

    def back(self, grad: Tensor, number: int, dtype: torch.dtype) -> Tensor:
        product = multiply(grad, self.w[number].t()).to(dtype)
        return product if self.h_mask is None else product * self.h_mask


@dataclass(frozen=True)
class Step:
    """A time step; `forward` and `backward` take and give plain sequences of tensors.

    Attributes:
        edges: of the cell.
        norm: what normalises the states: "batch", "running" or nothing.
        masked: whether there is dropout.
        keep: whether `forward` gives what `backward` needs.
        weights: whether gradients of the weights are wanted.
        mixing: whether gradients of the mixing weights are wanted.
    """

    edges: Edges
    norm: str | None
    masked: bool
    keep: bool
    weights: bool
    mixing: bool

    @property
    def feeding(self) -> list[int]:
        """The states that feed nodes, each by one product."""
        return [number for number, edges in enumerate(self.edges) if edges]

    @property
    def states(self) -> int:
        """How many there are, the initial one among them."""
        return len(self.edges) + 1

    @property
    def num_saved(self) -> int:
        """Tensors that `backward` needs: states, pre-activations, scales of the BatchNorm."""
        scales = self.states if self.norm == "batch" else 0
        return self.keep * (self.states + 1 + len(self.feeding) + scales)

    @property
    def products(self) -> slice:
        """Where the pre-activations of the nodes are among the saved."""
        return slice(self.states + 1, self.states + 1 + len(self.feeding))

    def columns(self, width: int) -> list[slice]:
        """By feeding state, where its nodes' matrices (H, width) stand among all eight."""
        rows = [self.edges[number] for number in self.feeding]
        return [slice(width * some[0].node, width * (some[-1].node + 1)) for some in rows]

    def forward(self, previous: Tensor, pre: Tensor, *fixed: Tensor) -> list[Tensor]:
        """One time step.

        Args:
            previous: output of the time step before, (B, H).
            pre: the input's share of the initial state's pre-activation, (B, 2H).
            fixed: what there is of `_Fixed`, its matrices and running moments one by one.

        Returns:
            The output (B, H), what `backward` needs, and mean and variance of each state.
        """
        common = self.fixed(fixed)
        zs = [torch.addmm(pre, common.feed(previous), common.w[0])]
        raw = _Mixed(INITIAL_EDGE, zs[0], previous, None).forward()
        terms: list[list[Tensor]] = [[] for _ in range(self.states)]
        states, scales, moments = [], [], []
        for number in range(self.states):
            state, *rest = self._normalise(raw, common)
            states.append(state)
            scales += rest[:1]
            moments += rest[1:]
            if number in self.feeding:
                zs.append(multiply(common.feed(state), common.w[len(zs)]))
                for edge, part in self._parts(number, zs[-1]):
                    terms[edge.node].append(_Mixed(edge, part, state, common.mixing).forward())
            raw = sum(terms[number][1:], terms[number][0]) if terms[number] else raw
        output = sum(states[2:], states[1]) / len(self.edges)
        return [output, *(states + zs + scales)[: self.num_saved], *moments]

    def backward(
        self, grad: Tensor, carried: Tensor, previous: Tensor, *tensors: Tensor
    ) -> list[Tensor]:
        """The gradients of one time step.

        Args:
            grad: of the output, (B, H).
            carried: more of it, from the time step after.
            previous: as in `forward`.
            tensors: what `forward` gave for it, then what it took as `fixed`.

        Returns:
            The gradient of `previous`; of the initial state's pre-activation, of the others too if
            weights are wanted; of the nodes before BatchNorm, if mixing weights are.
        """
        saved, common = tensors[: self.num_saved], self.fixed(tensors[self.num_saved :])
        zs = [saved[self.states], *saved[self.products]]
        raws, grads_z = [(grad + carried) / len(self.edges)] * self.states, []
        for number in reversed(range(self.states)):
            terms = [raws[number]] if number else []
            if number in self.feeding:
                parts = []
                for edge, z in self._parts(number, zs[-1]):
                    mixed = _Mixed(edge, z, saved[number], common.mixing)
                    *both, skipping = mixed.backward(raws[edge.node + 1])
                    parts += both
                    terms.append(skipping)
                grads_z.append(torch.cat(parts, 1).to(zs.pop().dtype))
                terms.append(common.back(grads_z[-1], len(zs), grad.dtype))
            scale = saved[number - self.states] if self.norm == "batch" else None
            raws[number] = self._before_norm(sum(terms[1:], terms[0]), saved[number], scale, common)
        *both, skipping = _Mixed(INITIAL_EDGE, zs[0], previous, None).backward(raws[0])
        grads_z.append(torch.cat(both, 1).to(zs[0].dtype))
        carried = skipping + common.back(grads_z[-1], 0, grad.dtype)
        grads_z = grads_z[::-1] if self.weights else grads_z[-1:]
        return [carried, *grads_z, *(raws[1:] if self.mixing else [])]

    def mixing_grads(self, *tensors: Tensor) -> list[Tensor]:
        """Sums that make the gradient of the mixing weights, per time step.

        Args:
            tensors: gradients of the nodes before BatchNorm (T, 8, B, H), then per feeding state
                the state (T, B, H), then the pre-activations (T, B, 2Hm).

        Returns:
            Per feeding state (4, T, m).
        """
        (grads, *rest), results = tensors, []
        for number, state, z in zip(
            self.feeding, rest[: len(rest) // 2], rest[len(rest) // 2 :], strict=True
        ):
            edges = self.edges[number]
            grad = grads.narrow(1, edges[0].node, len(edges))
            both = z.to(grad.dtype).unflatten(2, (len(edges), 2, -1)).permute(3, 0, 2, 1, 4)
            c, h = both.unbind()
            through = grad / (1 + _exp(-c))
            skipping = ((grad - through) * state.unsqueeze(1)).sum((2, 3))
            sums = [(through * value).sum((2, 3)) for value in activations(h, _exp)]
            results.append(torch.stack(sums) + skipping)
        return results

    def fixed(self, tensors: Sequence[Tensor]) -> _Fixed:
        """What `forward` and `backward` take last, by name."""
        count = 1 + len(self.feeding)
        rest = list(tensors[count:])
        h_mask = rest.pop(0) if self.masked else None
        mixing = rest.pop(0) if self.norm else None
        return _Fixed(tensors[:count], h_mask, mixing, rest)

    def _parts(self, number: int, z: Tensor) -> list[tuple[Edge, Tensor]]:
        """The edges from a state with their pre-activations (B, 2H)."""
        edges = self.edges[number]
        return list(zip(edges, z.chunk(len(edges), 1), strict=True))

    def _normalise(self, raw: Tensor, common: _Fixed) -> list[Tensor]:
        """The state, then what `backward` needs and the moments where the batch normalises."""
        if self.norm is None:
            return [raw]
        if self.norm == "running":
            return [(raw - common.running[0]) * torch.rsqrt(common.running[1] + EPS)]
        var, mean = torch.var_mean(raw, 0, correction=0)
        scale = torch.rsqrt(var + EPS)
        return [(raw - mean) * scale, scale, mean, var]

    def _before_norm(
        self, grad: Tensor, state: Tensor, scale: Tensor | None, common: _Fixed
    ) -> Tensor:
        if scale is not None:
            return scale * (grad - grad.mean(0) - state * (grad * state).mean(0))
        return grad * torch.rsqrt(common.running[1] + EPS) if self.norm else grad
