"""The supernet: every operation that the masks leave, mixed by weights given at each pass."""

from torch import Tensor, nn

from generalNAS_tools.cells import SearchCell
from generalNAS_tools.edge_masks import Masks
from generalNAS_tools.mixing import MixingWeights
from generalNAS_tools.network import Network, NetworkOptions, NetworkOutput, cell_shapes
from generalNAS_tools.rhn import SearchRHN


class Supernet(nn.Module):
    """One network that contains every architecture of the masks."""

    def __init__(self, masks: Masks, options: NetworkOptions) -> None:
        super().__init__()
        self.masks = masks
        self.shapes = cell_shapes(options.init_channels, options.layers)
        cells = [
            SearchCell(
                masks.reduce if shape.is_reduction else masks.normal,
                in_channels=shape.in_channels,
                channels=shape.channels,
                stride=shape.stride,
                previous_stride=shape.previous_stride,
            )
            for shape in self.shapes
        ]
        rhn = SearchRHN(
            4 * self.shapes[-1].channels,
            masks.rnn,
            dropoutx=options.dropoutx,
            dropouth=options.dropouth,
        )
        self.network = Network(cells, rhn, options=options)

    def forward(self, x: Tensor, mixing: MixingWeights) -> NetworkOutput:
        """Logits and RHN outputs of one-hot DNA `x`, (B, 4, L), under the mixing weights."""
        weights = [mixing.reduce if shape.is_reduction else mixing.normal for shape in self.shapes]
        return self.network(x, weights, (mixing.rnn,))
