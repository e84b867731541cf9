"""The options of a searched network's frame, bounded by what memory holds."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from generalNAS_tools.networks.frame import MAX_LAYERS, NetworkOptions
from generalNAS_tools.runs.flags import flag, rate_below_one, whole

_TRAINING_COPIES = 3
"""What training holds of every weight: itself, its gradient and its momentum."""


@dataclass(frozen=True, kw_only=True)
class FrameOptions:
    """The frame of a searched network."""

    title: ClassVar = "network"
    init_channels: int = flag(whole(2), 8, "channels of the first cell")
    layers: int = flag(whole(1, MAX_LAYERS), 6, "number of cells")
    dropoutx: float = flag(rate_below_one, 0.1, "dropout of the RHN's input")
    dropouth: float = flag(rate_below_one, 0.05, "dropout of the RHN's hidden state")
    head_dropout: float = flag(rate_below_one, 0.1, "dropout before the head")

    def __post_init__(self) -> None:
        """Checks that such a network fits into memory, whatever the data."""
        self.network(seq_size=1, num_targets=1)

    def network(self, *, seq_size: int, num_targets: int) -> NetworkOptions:
        """The frame for some data.

        Raises:
            ValueError: memory can't hold such a network.
        """
        options = NetworkOptions(seq_size, num_targets, **asdict(self))
        options.check_memory(_TRAINING_COPIES)
        return options
