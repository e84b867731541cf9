"""Whole networks in their plain form: plain cells, the plain RHN, ordinary layers around them.

Dimension letters: B batch, L sequence length (bp), T RHN time steps, H RHN width.
"""

from torch import nn

from generalNAS_tools.networks.frame import NetworkOutput, cell_shapes, num_time_steps
from tests.plain_forms.cells import PlainFinalCell, PlainSearchCell
from tests.plain_forms.rhn import PlainFinalRHN, PlainSearchRHN


class _PlainNetwork(nn.Module):
    def __init__(self, cells, rhn, options):
        super().__init__()
        shapes = cell_shapes(options.init_channels, options.layers)
        channels = shapes[0].in_channels[0]
        self.stem = nn.Sequential(
            nn.Conv1d(4, channels, 13, padding=6, bias=False), nn.BatchNorm1d(channels)
        )
        self.cells, self.rhn = nn.ModuleList(cells), rhn
        width = num_time_steps(options.seq_size, shapes) * 4 * shapes[-1].channels
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(width, 925), nn.ReLU(), nn.Linear(925, options.num_targets)
        )

    def run(self, x, cell_inputs, rhn_inputs):
        state0 = state1 = self.stem(x)
        for cell, cell_input in zip(self.cells, cell_inputs, strict=True):
            state0, state1 = state1, cell(state0, state1, cell_input)
        outputs = self.rhn(state1.permute(2, 0, 1), *rhn_inputs)
        return NetworkOutput(self.head(outputs.transpose(0, 1).flatten(1)), outputs)

    def load_from(self, fast):
        """Takes over all weights of the fast network."""
        frame = fast.network
        for mine, theirs in zip(self.cells, frame.cells, strict=True):
            mine.load_from(theirs)
        self.rhn.load_from(frame.rhn)
        self.stem.load_state_dict(frame.stem.state_dict())
        self.head.load_state_dict(frame.head.state_dict())
        return self


def _cell_arguments(shape):
    return {
        "in_channels": shape.in_channels,
        "channels": shape.channels,
        "stride": shape.stride,
        "previous_stride": shape.previous_stride,
    }


class PlainSupernet(_PlainNetwork):
    """The plain form of `Supernet`."""

    def __init__(self, masks, options):
        self_shapes = cell_shapes(options.init_channels, options.layers)
        cells = [
            PlainSearchCell(
                masks.reduce if shape.is_reduction else masks.normal, **_cell_arguments(shape)
            )
            for shape in self_shapes
        ]
        rhn = PlainSearchRHN(
            4 * self_shapes[-1].channels,
            masks.rnn,
            dropoutx=options.dropoutx,
            dropouth=options.dropouth,
        )
        super().__init__(cells, rhn, options)
        self.shapes = self_shapes

    def forward(self, x, mixing):
        weights = [mixing.reduce if shape.is_reduction else mixing.normal for shape in self.shapes]
        return self.run(x, weights, (mixing.rnn,))


class PlainFinalNetwork(_PlainNetwork):
    """The plain form of `FinalNetwork`."""

    def __init__(self, genotype, options, *, drop_path=0.0):
        shapes = cell_shapes(options.init_channels, options.layers)
        cells = [
            PlainFinalCell(
                genotype.reduce if shape.is_reduction else genotype.normal,
                **_cell_arguments(shape),
            )
            for shape in shapes
        ]
        rhn = PlainFinalRHN(
            4 * shapes[-1].channels,
            genotype.rnn,
            dropoutx=options.dropoutx,
            dropouth=options.dropouth,
        )
        super().__init__(cells, rhn, options)
        self.drop_path = drop_path

    def forward(self, x):
        return self.run(x, [self.drop_path] * len(self.cells), ())
