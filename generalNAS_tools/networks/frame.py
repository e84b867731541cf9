"""The frame every searched network shares: stem, cells, RHN, head (SPEC 1.4).

Dimension letters: B batch, C channels, L sequence length (bp), T RHN time steps, H RHN width.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from generalNAS_tools.networks.cnn.cells import CellShape
from generalNAS_tools.networks.cnn.convolutions import RowConv
from generalNAS_tools.networks.matrix_product import Dense
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.genotypes import RHN_NODES, Genotype

STEM_KERNEL = 13
STEM_MULTIPLIER = 3
HEAD_SIZE = 925
MAX_LAYERS = 50
"""Two of three cells double the channels: no memory holds more."""
INIT_RANGE = 0.04


class NetworkOutput(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: (B, targets).
        rhn_outputs: (T, B, H), or None for a network without an RHN.
    """

    logits: Tensor
    rhn_outputs: Tensor | None


@dataclass(frozen=True)
class NetworkOptions:
    """What fixes a network beside its operations.

    Attributes:
        seq_size: length L of the sequences in bp.
        num_targets: number of chromatin features.
        init_channels: C of the first cell.
        layers: number of cells.
        dropoutx: rate of the RHN's input mask.
        dropouth: rate of the RHN's hidden mask.
        head_dropout: rate of the dropout before the head.
    """

    seq_size: int
    num_targets: int
    init_channels: int = 8
    layers: int = 6
    dropoutx: float = 0.1
    dropouth: float = 0.05
    head_dropout: float = 0.1

    def check_memory(self, copies: int = 1) -> None:
        """Checks that the weights of RHN and head alone fit into this machine's memory.

        Args:
            copies: what is held of every weight: itself, its gradient ...

        Raises:
            ValueError: they don't.
        """
        shapes = cell_shapes(self.init_channels, self.layers)
        width = 4 * shapes[-1].channels
        weights = (4 + 2 * RHN_NODES) * width**2
        weights += num_time_steps(self.seq_size, shapes) * width * HEAD_SIZE
        needed = copies * weights * torch.finfo(torch.float32).bits // 8
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > memory:
            raise ValueError(
                f"--layers {self.layers} with --init_channels {self.init_channels}: the weights "
                f"need {needed >> 30:,} GiB or more, this machine has {memory >> 30:,} GiB"
            )


def cell_shapes(init_channels: int, layers: int) -> list[CellShape]:
    """Shapes of the cells: cell i is normal if i % 3 == 0, else it reduces (cell 5 by 3)."""
    before, previous = (STEM_MULTIPLIER * init_channels,) * 2
    channels, previous_stride = init_channels, 1
    shapes = []
    for i in range(layers):
        stride = 1 if i % 3 == 0 else 3 if i == 5 else 2
        channels *= 2 if stride > 1 else 1
        shapes.append(CellShape((before, previous), channels, stride, previous_stride))
        before, previous, previous_stride = previous, 4 * channels, stride
    return shapes


def num_time_steps(seq_size: int, shapes: Sequence[CellShape]) -> int:
    """Length T of the last cell's output for sequences of `seq_size` bp."""
    for shape in shapes:
        seq_size = -(-seq_size // shape.stride)
    return seq_size


class Stem(nn.Sequential):
    """Convolution and BatchNorm in channels-last memory, which the cells keep."""

    def __init__(self, channels: int) -> None:
        super().__init__(RowConv(4, channels, STEM_KERNEL, bias=False), nn.BatchNorm1d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps x: (B, 4, L) → (B, C, L)."""
        conv, norm = self
        return norm(conv(x.transpose(1, 2).contiguous()).transpose(1, 2))


class Network(nn.Module):
    """Stem, cells, RHN, and the head.

    Args:
        parts: what the cells and the RHN are made of.
        options: what else.
        cell: makes a cell of its part and its shape.
        rhn: makes the RHN of its width, its part and rates of dropout.
        stem: makes the stem of its number of channels.
        dense: the head's layers.
    """

    def __init__(
        self,
        parts: Genotype | Masks,
        options: NetworkOptions,
        *,
        cell: Callable[..., nn.Module],
        rhn: Callable[..., nn.Module],
        stem: Callable[[int], nn.Module] = Stem,
        dense: type[nn.Linear] = Dense,
    ) -> None:
        super().__init__()
        shapes = cell_shapes(options.init_channels, options.layers)
        # Made before the stem: what is drawn for a seed depends on the order.
        cells = [
            cell(parts.reduce if shape.is_reduction else parts.normal, shape) for shape in shapes
        ]
        dropout = {"dropoutx": options.dropoutx, "dropouth": options.dropouth}
        recurrent = rhn(4 * shapes[-1].channels, parts.rnn, **dropout)
        self.stem = stem(shapes[0].in_channels[0])
        self.cells, self.rhn = nn.ModuleList(cells), recurrent
        width = num_time_steps(options.seq_size, shapes) * 4 * shapes[-1].channels
        hidden, last = dense(width, HEAD_SIZE), dense(HEAD_SIZE, options.num_targets)
        for layer in (hidden, last):
            nn.init.uniform_(layer.weight, -INIT_RANGE, INIT_RANGE)
            nn.init.zeros_(layer.bias)
        self.head = nn.Sequential(nn.Dropout(options.head_dropout), hidden, nn.ReLU(), last)

    def forward(
        self, x: Tensor, cell_inputs: Sequence[Mapping[str, Any]], rhn_inputs: Mapping[str, Any]
    ) -> NetworkOutput:
        """Runs the network on one-hot DNA.

        Args:
            x: (B, 4, L).
            cell_inputs: arguments of each cell besides its two input states.
            rhn_inputs: arguments of the RHN besides its input sequence.
        """
        state0 = state1 = self.stem(x)
        for cell, cell_input in zip(self.cells, cell_inputs, strict=True):
            state0, state1 = state1, cell(state0, state1, **cell_input)
        outputs = self.rhn(state1.permute(2, 0, 1), **rhn_inputs)
        return NetworkOutput(self.head(outputs.transpose(0, 1).flatten(1)), outputs)
