"""All operations on the edges that leave one state of a supernet's CNN cell, as few kernels.

They see the same input, so the ReLU runs once, every pool once (its BatchNorm has no parameters),
and the convolutions of one primitive on all outgoing edges are one. For a state with three edges:

    state ─┬─ pools (each once) ─── BatchNorm ──┐
           ├─ identity ─────────────────────────┴─ mixing weights: one product ─► edges 0 1 2
           └─ ReLU (once) ─┬─ sep_conv_15 of edges 0 1 2: one grouped convolution ─┤
                           ├─ dil_conv_9 of edges 0 2: one grouped convolution ────┤
                           └─ conv_15 of edges 1 2: one convolution, wider ────────┤
                                                                                   ▼
                             one weighted sum an edge, added up in the node that it ends in

Where calls take longer than arithmetic, sep_conv_15 and _9 are one, and so are dil_conv_15 and _9.
`none` is never computed; what isn't active is left out of its batch. Activations are rows, see
`convolutions`. Dimension letters: B batch, C channels, L sequence length (bp), E edges that leave
the state, R = B·L.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.networks.cnn.batched_parts import Batch, BatchedPart, add_into, run_parts
from generalNAS_tools.networks.cnn.operations import (
    IDENTITY,
    PARTS,
    POOLS,
    RowNorm,
    folds,
    is_small,
    join,
    join_lists,
    pool,
    repeat,
)
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, BoolArray
from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES

_ROUNDS = ((IDENTITY,), ("sep_conv_15", "sep_conv_9"), ("dil_conv_15", "dil_conv_9"), ("conv_15",))
"""Primitives with weights in order, those as one that differ by their kernel alone."""


class OutgoingEdges(nn.Module):
    """Every operation on the edges that leave one state.

    Attributes:
        edges: their numbers.
        members: per primitive, the positions in `edges` that have it.
        batches: per primitive with weights, its parts over these.
        norms: per pool its BatchNorm, which all edges share.
    """

    def __init__(self, state: int, mask: BoolArray, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.edges = [number for number, edge in enumerate(CNN_EDGES) if edge.state == state]
        self.members = {
            name: [i for i, edge in enumerate(self.edges) if mask[edge, primitive]]
            for primitive, name in enumerate(CNN_PRIMITIVES)
        }
        self.batches, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for name, members in self.members.items():
            if members and name in POOLS:
                self.norms[name] = RowNorm(channels, affine=False)
            elif members and (parts := batched_parts(name, len(members), channels, stride=stride)):
                self.batches[name] = parts

    def forward(
        self, x: Tensor, mixing: Tensor, active: BoolArray, *, skip_dropout: float
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Mixes all active operations on x.

        Args:
            x: the state, (B, L, C).
            mixing: weights of the operations on these edges, (E, 9), 0 where not active.
            active: which to compute, (E, 9).
            skip_dropout: rate of dropout after identities, training only.

        Returns:
            Per edge, what its node is to add up, (B, L', C) each, and what it is to add to every
            position, (C,) each.
        """
        chosen = self._chosen(active)
        columns = dict(zip(CNN_PRIMITIVES, mixing.unbind(1), strict=True))
        totals = self._mix_unweighted(x, columns, chosen, skip_dropout)
        terms: list[list[Tensor]] = [[] for _ in self.edges]
        biases: list[list[Tensor]] = [[] for _ in self.edges]
        shared = functional.relu(x).unsqueeze(2)
        repeated: dict[tuple[int, int], Tensor] = {}
        for names in _ROUNDS if is_small(shared) else zip(self.batches):
            some = [name for name in names if name in self.batches and chosen[name]]
            if not some:
                continue
            parts = zip(*map(self._parts, some), strict=True)
            *first, last = levels = [
                [Batch(part, chosen[name]) for name, part in zip(some, level, strict=True)]
                for level in parts
            ]
            part, positions = last[0]
            places = [[self.members[name][i] for i in chosen[name]] for name in some]
            slots = join_lists(places)
            scale, inputs = self._scale(some, places, columns, x.shape[2]), shared
            if part.part.separable:
                count, step = len(slots), levels[0][0].part.step
                if (count, step) not in repeated:
                    repeated[count, step] = repeat(shared[:, ::step], count)
                inputs = repeated[count, step]
            y = run_parts(first, inputs)
            if part.part.separable and folds(x):
                totals, rows = add_into(totals, last, y, slots, scale)
                for slot, row in zip(slots, rows, strict=True):
                    biases[slot].append(row)
                continue
            for slot, term in zip(slots, part.each(y, positions, scale), strict=True):
                terms[slot].append(term)
        shape = (len(self.edges), len(x), -1, x.shape[2])
        for total, more in zip(totals.view(shape).unbind(0), terms, strict=True):
            more.append(total)
        return terms, biases

    def operation_tensors(self, edge: int, primitive: int) -> list[Tensor]:
        """Views of one operation's weights and statistics, in forward order."""
        name, slot = CNN_PRIMITIVES[primitive], self.edges.index(edge)
        if slot not in self.members[name]:
            return []
        if name in POOLS:
            return list(cast(RowNorm, self.norms[name]).statistics)
        position = self.members[name].index(slot)
        return [tensor for part in self._parts(name) for tensor in part.tensors(position)]

    def _mix_unweighted(
        self,
        x: Tensor,
        columns: dict[str, Tensor],
        chosen: dict[str, list[int]],
        skip_dropout: float,
    ) -> Tensor:
        """Pools and identities, one matrix product over them: (E, R · C)."""
        results, weights = [], []
        dropped = skip_dropout if self.training else 0.0
        for name in (*POOLS, IDENTITY):
            if not chosen[name] or name in self.batches or (name == IDENTITY and dropped):
                continue
            result = x
            if name in POOLS:
                result = self.norms[name](pool(name, x, self.stride))
            results.append(result.flatten())
            weights.append(columns[name])
        if results:
            totals = torch.stack(weights, dim=1).to(x.dtype) @ torch.stack(results)
        else:
            length = -(-x.shape[1] // self.stride)
            totals = x.new_zeros(len(self.edges), len(x) * length * x.shape[2])
        if chosen[IDENTITY] and IDENTITY not in self.batches and dropped:
            own = columns[IDENTITY].unsqueeze(1).to(x.dtype)
            copies = x.flatten().expand(len(self.edges), -1)
            totals = totals + own * functional.dropout(copies, dropped)
        return totals

    def _chosen(self, active: BoolArray) -> dict[str, list[int]]:
        """Per primitive, the positions in its batch of the operations to compute."""
        return {
            name: [i for i, slot in enumerate(members) if active[slot, primitive]]
            for primitive, (name, members) in enumerate(self.members.items())
        }

    def _scale(
        self, names: list[str], places: list[list[int]], columns: dict[str, Tensor], channels: int
    ) -> Tensor:
        """The mixing weights of primitives on some slots each, for each channel: (n, C)."""
        weights = []
        for name, slots in zip(names, places, strict=True):
            column = columns[name]
            whole = len(slots) == len(self.edges)
            weights.append(column if whole else torch.stack([column[slot] for slot in slots]))
        return join(weights).unsqueeze(1).expand(-1, channels)

    def _parts(self, name: str) -> list[BatchedPart]:
        if name not in self.batches:
            return []
        return [cast(BatchedPart, part) for part in cast(nn.ModuleList, self.batches[name])]


def batched_parts(
    name: str, operations: int, channels: int, *, stride: int, affine: bool = False
) -> nn.ModuleList:
    """A primitive's parts, the first with the stride; none where it holds no weights."""
    parts = () if name == IDENTITY and stride == 1 else PARTS.get(name, ())
    return nn.ModuleList(
        BatchedPart(part, operations, channels, stride=1 if number else stride, affine=affine)
        for number, part in enumerate(parts)
    )
