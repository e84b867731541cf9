"""The final network: one genotype's operations, trained from scratch."""

from typing import ClassVar

from torch import Tensor, nn

from generalNAS_tools.networks.cnn.cells import FinalCell
from generalNAS_tools.networks.frame import Network, NetworkOptions, NetworkOutput, Stem
from generalNAS_tools.networks.matrix_product import Dense
from generalNAS_tools.networks.rhn.cells import FinalRHN
from generalNAS_tools.search_space.genotypes import Genotype


class FinalNetwork(nn.Module):
    """A network with exactly the operations of a genotype, made of the parts named here.

    Args:
        genotype: the architecture.
        options: its frame.
        drop_path: probability at which a path is dropped per sequence, while training.
    """

    cell: ClassVar[type[nn.Module]] = FinalCell
    rhn: ClassVar[type[nn.Module]] = FinalRHN
    stem: ClassVar[type[nn.Module]] = Stem
    dense: ClassVar[type[nn.Linear]] = Dense

    def __init__(
        self, genotype: Genotype, options: NetworkOptions, *, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.network = Network(
            genotype, options, cell=self.cell, rhn=self.rhn, stem=self.stem, dense=self.dense
        )

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits and RHN outputs of one-hot DNA `x`, (B, 4, L)."""
        return self.network(x, [{"drop_path": self.drop_path}] * len(self.network.cells), {})
