"""The CNN cell of the supernet and the CNN cell of the final network.

Dimension letters: B batch, C channels, L sequence length (bp), E edges, P primitives.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.edge_batches import BatchedPart, StateFanOut
from generalNAS_tools.edge_masks import CNN_EDGES, BoolArray
from generalNAS_tools.genotypes import (
    CNN_INPUTS,
    CNN_NODES,
    CNN_PRIMITIVES,
    EDGES_PER_CNN_NODE,
    Gene,
)
from generalNAS_tools.operations import (
    IDENTITY,
    PARTS,
    POOLS,
    FactorizedReduce,
    Part,
    ReLUConvBN,
    pool,
)


class SearchCell(nn.Module):
    """CNN cell with every operation of a mask (SPEC: supernet).

    Attributes:
        mask: (14, 9), the operations that exist.
        skip_dropout: rate of elementwise dropout after identities, training only (P-DARTS).
    """

    def __init__(
        self,
        mask: BoolArray,
        *,
        in_channels: tuple[int, int],
        channels: int,
        stride: int,
        previous_stride: int,
    ) -> None:
        super().__init__()
        self.mask = np.array(mask, dtype=bool)
        if self.mask.shape != (len(CNN_EDGES), len(CNN_PRIMITIVES)):
            raise ValueError(f"mask of a CNN cell has shape {self.mask.shape}; expected (14, 9)")
        self.channels, self.stride, self.skip_dropout = channels, stride, 0.0
        first = FactorizedReduce if previous_stride > 1 else ReLUConvBN
        self.preprocess0 = first(in_channels[0], channels, affine=False, stride=previous_stride)
        self.preprocess1 = ReLUConvBN(in_channels[1], channels, affine=False)
        self.fan_outs = nn.ModuleList(
            StateFanOut(state, self.mask, channels, stride if state < CNN_INPUTS else 1)
            for state in range(CNN_INPUTS + CNN_NODES - 1)
        )

    def forward(
        self, state0: Tensor, state1: Tensor, mixing: Tensor, *, active: BoolArray | None = None
    ) -> Tensor:
        """Maps the outputs of the two previous cells to (B, 4C, ceil(L / stride)).

        Args:
            state0: output of the cell before the previous, (B, in_channels[0], L0).
            state1: output of the previous cell, (B, in_channels[1], L).
            mixing: (14, 9) weights, 0 where the mask is not set.
            active: the operations to compute, (14, 9); the others cost nothing and contribute
                nothing. All of the mask if absent.
        """
        chosen = self.mask if active is None else self.mask & active
        states: list[Tensor | None] = [self.preprocess0(state0), self.preprocess1(state1)]
        shape = (states[0].shape[0], self.channels, -(-states[0].shape[2] // self.stride))
        nodes: list[Tensor | None] = [None] * CNN_NODES
        for state, fan_out in enumerate(self.fan_outs):
            x = states[state] if state < CNN_INPUTS else nodes[state - CNN_INPUTS]
            if x is None:
                x = state0.new_zeros(shape)
            fan_out(x, mixing, nodes, active=chosen, skip_dropout=self.skip_dropout)
        return torch.cat(
            [state0.new_zeros(shape) if node is None else node for node in nodes], dim=1
        )

    def operation_tensors(self, edge: int, primitive: int) -> list[Tensor]:
        """Views of an operation's weights and BatchNorm statistics, in forward order.

        Per part: its weights, (C, C_in, k) each, then running mean and variance, (C,) each. Empty
        for operations that hold nothing (`none`, identities) or that the mask lacks. The BatchNorm
        of a pool is shared by all edges that leave the same state.
        """
        return self.fan_outs[CNN_EDGES[edge].state].operation_tensors(edge, primitive)


@torch.no_grad()
def inherit_cell(new: SearchCell, old: SearchCell) -> None:
    """Copies the preprocessing and every operation that both cells have, statistics included."""
    new.preprocess0.load_state_dict(old.preprocess0.state_dict())
    new.preprocess1.load_state_dict(old.preprocess1.state_dict())
    for edge, primitive in np.argwhere(new.mask & old.mask):
        for target, source in zip(
            new.operation_tensors(edge, primitive),
            old.operation_tensors(edge, primitive),
            strict=True,
        ):
            target.copy_(source)


class FinalCell(nn.Module):
    """CNN cell of a final network: two operations per node, affine BatchNorm, drop path."""

    def __init__(
        self,
        genes: Sequence[Gene],
        *,
        in_channels: tuple[int, int],
        channels: int,
        stride: int,
        previous_stride: int,
    ) -> None:
        super().__init__()
        self.genes, self.stride = tuple(genes), stride
        first = FactorizedReduce if previous_stride > 1 else ReLUConvBN
        self.preprocess0 = first(in_channels[0], channels, affine=True, stride=previous_stride)
        self.preprocess1 = ReLUConvBN(in_channels[1], channels, affine=True)
        self.operations = nn.ModuleList(
            nn.ModuleList(
                BatchedPart(
                    part, 1, channels, stride=self._stride(state) if number == 0 else 1, affine=True
                )
                for number, part in enumerate(self._parts(name, state))
            )
            for name, state in self.genes
        )

    def forward(self, state0: Tensor, state1: Tensor, drop_path: float = 0.0) -> Tensor:
        """Maps the outputs of the two previous cells to (B, 4C, ceil(L / stride)).

        Args:
            state0: output of the cell before the previous, (B, in_channels[0], L0).
            state1: output of the previous cell, (B, in_channels[1], L).
            drop_path: probability that a sequence loses an edge in training; identities stay.
        """
        states = [self.preprocess0(state0), self.preprocess1(state1)]
        for number, (name, state) in enumerate(self.genes):
            result = self._operation(number, states[state])
            if self.training and drop_path > 0 and not self._is_identity(name, state):
                kept = result.new_empty(len(result), 1, 1).bernoulli_(1 - drop_path)
                result = result * (kept / (1 - drop_path))
            if number % EDGES_PER_CNN_NODE == 0:
                states.append(result)
            else:
                states[-1] = states[-1] + result
        return torch.cat(states[CNN_INPUTS:], dim=1)

    def operation_tensors(self, number: int) -> list[Tensor]:
        """Views of the weights and BatchNorm state of the number-th gene, in forward order."""
        return [tensor for part in self.operations[number] for tensor in part.tensors(0)]

    def _operation(self, number: int, x: Tensor) -> Tensor:
        name, state = self.genes[number]
        if name in POOLS:
            return pool(name, x, self._stride(state))
        for part in self.operations[number]:
            x = part(functional.relu(x), edges=[0], shared=True)
        return x

    def _stride(self, state: int) -> int:
        return self.stride if state < CNN_INPUTS else 1

    def _is_identity(self, name: str, state: int) -> bool:
        return name == IDENTITY and self._stride(state) == 1

    def _parts(self, name: str, state: int) -> tuple[Part, ...]:
        return () if name in POOLS or self._is_identity(name, state) else PARTS[name]
