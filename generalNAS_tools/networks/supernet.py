"""The supernet: every operation that the masks leave, mixed by weights given at each pass."""

from typing import cast

import torch
from torch import Tensor, nn

from generalNAS_tools.networks.cnn.cells import SearchCell, inherit_cell
from generalNAS_tools.networks.frame import Network, NetworkOptions, NetworkOutput, cell_shapes
from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.mixing import MixingWeights


class Supernet(nn.Module):
    """One network that contains every architecture of the masks."""

    def __init__(self, masks: Masks, options: NetworkOptions) -> None:
        super().__init__()
        self.masks = masks
        self.shapes = cell_shapes(options.init_channels, options.layers)
        self.network = Network(masks, options, cell=SearchCell, rhn=SearchRHN)

    def forward(
        self, x: Tensor, mixing: MixingWeights, active: Masks | None = None
    ) -> NetworkOutput:
        """Logits and RHN outputs of one-hot DNA.

        Args:
            x: (B, 4, L).
            mixing: weights of the operations; 0 outside `active`.
            active: the operations to compute; the others cost nothing. All if absent.
        """
        normal, reduce, rnn = [
            {"mixing": weights, "active": part}
            for weights, part in zip(mixing, active or (None,) * len(mixing), strict=True)
        ]
        inputs = [reduce if shape.is_reduction else normal for shape in self.shapes]
        return self.network(x, inputs, rnn)

    @property
    def cells(self) -> list[SearchCell]:
        """The cells in order."""
        return [cast(SearchCell, cell) for cell in self.network.cells]

    def set_skip_dropout(self, rate: float) -> None:
        """Sets the rate of elementwise dropout after identities while training (P-DARTS)."""
        for cell in self.cells:
            cell.skip_dropout = rate


@torch.no_grad()
def inherit_weights(new: Supernet, old: Supernet) -> None:
    """Copies all that both supernets have: weights and BatchNorm statistics, stem to head."""
    for name in ("stem", "rhn", "head"):
        old_part = old.network.get_submodule(name)
        new.network.get_submodule(name).load_state_dict(old_part.state_dict())
    for new_cell, old_cell in zip(new.cells, old.cells, strict=True):
        inherit_cell(new_cell, old_cell)
