"""The supernet in its plain form: plain cells, the plain RHN, ordinary layers around them."""

from torch import nn

from generalNAS_tools.networks.frame import Network, cell_shapes
from generalNAS_tools.networks.plain_network import PlainStem
from tests.plain_forms.cells import PlainSearchCell
from tests.plain_forms.rhn import PlainSearchRHN


class PlainSupernet(nn.Module):
    """The plain form of `Supernet`."""

    def __init__(self, masks, options):
        super().__init__()
        self.shapes = cell_shapes(options.init_channels, options.layers)
        parts = {"cell": PlainSearchCell, "rhn": PlainSearchRHN, "stem": PlainStem}
        self.network = Network(masks, options, **parts, dense=nn.Linear)

    def forward(self, x, mixing):
        inputs = [
            {"mixing": mixing.reduce if shape.is_reduction else mixing.normal}
            for shape in self.shapes
        ]
        return self.network(x, inputs, {"mixing": mixing.rnn})

    def load_from(self, fast):
        """Takes over all weights of the fast network."""
        frame = fast.network
        for mine, theirs in zip(self.network.cells, frame.cells, strict=True):
            mine.load_from(theirs)
        self.network.rhn.load_from(frame.rhn)
        self.network.stem.load_state_dict(frame.stem.state_dict())
        self.network.head.load_state_dict(frame.head.state_dict())
        return self
