"""The CNN cell of the supernet and the CNN cell of the final network.

Dimension letters: B batch, C channels, L sequence length (bp), E edges, P primitives.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.networks.cnn.batched_parts import Batch, BatchedPart, run_parts
from generalNAS_tools.networks.cnn.edge_batches import OutgoingEdges, batched_parts
from generalNAS_tools.networks.cnn.operations import POOLS, ReLUConvBN, pool
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, BoolArray
from generalNAS_tools.search_space.genotypes import (
    CNN_CELL,
    CNN_INPUTS,
    CNN_NODES,
    EDGES_PER_CNN_NODE,
    Gene,
)


class CellShape(NamedTuple):
    """How one cell is built into the network.

    Attributes:
        in_channels: channels of the outputs of the cell before the previous, and the previous.
        channels: C of the cell's states; its output has 4C.
        stride: 1 for a normal cell, 2 or 3 for a reduction cell.
        previous_stride: the previous cell's stride, 1 unless that was a reduction cell.
    """

    in_channels: tuple[int, int]
    channels: int
    stride: int
    previous_stride: int

    @property
    def is_reduction(self) -> bool:
        """Whether the cell takes the reduction genotype."""
        return self.stride > 1

    def stride_from(self, state: int) -> int:
        """Stride of the edges that leave a state: the cell's own from its inputs, else 1."""
        return self.stride if state < CNN_INPUTS else 1


class SearchCell(nn.Module):
    """CNN cell with every operation of a mask.

    Attributes:
        mask: (14, 9), the operations that exist.
        skip_dropout: rate of elementwise dropout after identities, training only (P-DARTS,
            Chen et al. 2019, section 3.3).
    """

    def __init__(self, mask: BoolArray, shape: CellShape) -> None:
        super().__init__()
        self.mask = np.array(mask, dtype=bool)
        if self.mask.shape != CNN_CELL.mask_shape:
            raise ValueError(f"mask of a CNN cell has shape {self.mask.shape}; expected (14, 9)")
        self.stride, self.skip_dropout = shape.stride, 0.0
        self.preprocess0, self.preprocess1 = _preprocessing(shape, affine=False)
        self.fan_outs = nn.ModuleList(
            OutgoingEdges(state, self.mask, shape.channels, shape.stride_from(state))
            for state in range(CNN_INPUTS + CNN_NODES - 1)
        )
        self.register_buffer("exists", torch.from_numpy(self.mask), persistent=False)

    def forward(
        self, state0: Tensor, state1: Tensor, mixing: Tensor, *, active: BoolArray | None = None
    ) -> Tensor:
        """Maps the outputs of the two previous cells to (B, 4C, ceil(L / stride)).

        Args:
            state0: output of the cell before the previous, (B, in_channels[0], L0).
            state1: output of the previous cell, (B, in_channels[1], L).
            mixing: weights of the operations, (14, 9); ignored outside the supernet's mask.
            active: the operations to compute, (14, 9), outside of which `mixing` is 0; the others
                cost nothing. All of the mask if absent.
        """
        chosen, exists = self.mask, self.get_buffer("exists")
        if active is not None:
            chosen = self.mask & active
        state0, state1 = _cast(state0), _cast(state1)
        with torch.autocast(state0.device.type, enabled=False):
            rows = (mixing * exists).unbind(0)
            states = [self.preprocess0(state0), self.preprocess1(state1)]
            batch, length, channels = states[0].shape
            empty = states[0].new_zeros(batch, -(-length // self.stride), channels)
            nodes = [_Node() for _ in range(CNN_NODES)]
            for number, fan_out in enumerate(self._fan_outs()):
                if number >= CNN_INPUTS:
                    states.append(nodes[number - CNN_INPUTS].state(empty))
                if not chosen[fan_out.edges].any():
                    continue
                weights = torch.stack([rows[edge] for edge in fan_out.edges])
                result = fan_out(
                    states[number], weights, chosen[fan_out.edges], skip_dropout=self.skip_dropout
                )
                for edge, terms, biases in zip(fan_out.edges, *result, strict=True):
                    nodes[CNN_EDGES[edge].node].add(terms, biases)
            states.append(nodes[-1].state(empty))
            return torch.cat(states[CNN_INPUTS:], dim=2).transpose(1, 2)

    def operation_tensors(self, edge: int, primitive: int) -> list[Tensor]:
        """Views of an operation's weights and BatchNorm statistics, in forward order.

        Per part: its weights, (C, C_in, k) each, then running mean and variance, (C,) each. Empty
        for operations that hold nothing (`none`, identities) or that the mask lacks. The BatchNorm
        of a pool is shared by all edges that leave the same state.
        """
        return self._fan_outs()[CNN_EDGES[edge].state].operation_tensors(edge, primitive)

    def _fan_outs(self) -> list[OutgoingEdges]:
        return [cast(OutgoingEdges, fan_out) for fan_out in self.fan_outs]


def _preprocessing(shape: CellShape, *, affine: bool) -> Iterator[ReLUConvBN]:
    """What brings the outputs of the two previous cells to this one's channels and length."""
    for width, stride in zip(shape.in_channels, (shape.previous_stride, 1), strict=True):
        yield ReLUConvBN(width, shape.channels, affine=affine, stride=stride)


class _Node:
    """Collects what a node's edges bring."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.biases: list[Tensor] = []

    def add(self, terms: list[Tensor], biases: list[Tensor]) -> None:
        for term in terms:
            self.total = term if self.total is None else self.total + term
        self.biases += biases

    def state(self, empty: Tensor) -> Tensor:
        """The node's sum (B, L, C); `empty` if it has no edges."""
        if self.total is None:
            return empty
        if not self.biases:
            return self.total
        return self.total + torch.stack(self.biases).sum(0).to(self.total.dtype)


def _cast(x: Tensor) -> Tensor:
    """To autocast's type where it is on: inside the cell every type is explicit."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


@torch.no_grad()
def inherit_cell(new: SearchCell, old: SearchCell) -> None:
    """Copies the preprocessing and every operation that both cells have, statistics included."""
    new.preprocess0.load_state_dict(old.preprocess0.state_dict())
    new.preprocess1.load_state_dict(old.preprocess1.state_dict())
    for edge, primitive in np.argwhere(new.mask & old.mask):
        both = (cell.operation_tensors(edge, primitive) for cell in (new, old))
        for target, source in zip(*both, strict=True):
            target.copy_(source)


class FinalCell(nn.Module):
    """CNN cell of a final network: two operations per node, affine BatchNorm, drop path."""

    def __init__(self, genes: Sequence[Gene], shape: CellShape) -> None:
        super().__init__()
        self.genes, self.shape = tuple(genes), shape
        self.preprocess0, self.preprocess1 = _preprocessing(shape, affine=True)
        self.operations = nn.ModuleList(
            batched_parts(name, 1, shape.channels, stride=shape.stride_from(state), affine=True)
            for name, state in self.genes
        )

    def forward(self, state0: Tensor, state1: Tensor, drop_path: float = 0.0) -> Tensor:
        """Maps the outputs of the two previous cells to (B, 4C, ceil(L / stride)).

        Args:
            state0: output of the cell before the previous, (B, in_channels[0], L0).
            state1: output of the previous cell, (B, in_channels[1], L).
            drop_path: probability that a sequence loses an edge in training; identities stay.
        """
        state0, state1 = _cast(state0), _cast(state1)
        with torch.autocast(state0.device.type, enabled=False):
            states = [self.preprocess0(state0), self.preprocess1(state1)]
            rectified: dict[int, Tensor] = {}
            for number, (_, state) in enumerate(self.genes):
                result = self._operation(number, states[state], rectified)
                if self.training and drop_path > 0 and result is not states[state]:
                    kept = result.new_empty(len(result), 1, 1).bernoulli_(1 - drop_path)
                    result = result * (kept / (1 - drop_path))
                if number % EDGES_PER_CNN_NODE == 0:
                    states.append(result)
                else:
                    states[-1] = states[-1] + result
            return torch.cat(states[CNN_INPUTS:], dim=2).transpose(1, 2)

    def operation_tensors(self, number: int) -> list[Tensor]:
        """Views of the weights and BatchNorm state of the number-th gene, in forward order."""
        return [tensor for part in self._modules_of(number) for tensor in part.tensors(0)]

    def _operation(self, number: int, x: Tensor, rectified: dict[int, Tensor]) -> Tensor:
        """What a gene makes of its state x; rectifies it once for all genes that read it so."""
        name, state = self.genes[number]
        if name in POOLS:
            return pool(name, x, self.shape.stride_from(state))
        parts = self._modules_of(number)
        if not parts:
            return x
        if state not in rectified:
            rectified[state] = functional.relu(x)
        *first, last = parts
        levels = [[Batch(part, [0])] for part in first]
        read = rectified[state][:, :: parts[0].step].unsqueeze(2)
        return last(run_parts(levels, read), [0]).squeeze(2)

    def _modules_of(self, number: int) -> list[BatchedPart]:
        parts = cast(nn.ModuleList, self.operations[number])
        return [cast(BatchedPart, part) for part in parts]
