"""Flags that random search and Hyperband share."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from generalNAS_tools.runs.flags import RATE, flag, whole
from generalNAS_tools.runs.options import LengthOptions, RunOptions, WeightOptions


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The sampled architectures."""

    title: ClassVar = "candidates"
    num_samples: int = flag(whole(1), 20, "architectures to draw")
    drop_path_prob: float = flag(RATE, 0.2, "rate of drop path")


class SamplingCommand(Protocol):
    """The options of a search that trains sampled architectures."""

    @property
    def length(self) -> LengthOptions:
        """The epochs over which their cosine goes."""

    @property
    def weights(self) -> WeightOptions:
        """How they are trained."""

    @property
    def run(self) -> RunOptions:
        """The seed."""

    @property
    def sampling(self) -> SamplingOptions:
        """How many they are."""
