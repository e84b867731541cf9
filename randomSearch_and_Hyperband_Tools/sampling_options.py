"""Flags that random search and Hyperband share."""

from dataclasses import dataclass
from typing import ClassVar

from generalNAS_tools.runs.flags import MAX_ARCHITECTURES, RATE, flag, whole
from generalNAS_tools.runs.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The sampled architectures."""

    title: ClassVar = "candidates"
    num_samples: int = flag(whole(1, MAX_ARCHITECTURES), 20, "architectures to draw")
    drop_path_prob: float = flag(RATE, 0.2, "rate of drop path")


@dataclass(frozen=True, kw_only=True)
class SampledOptions(TrainingOptions):
    """The options of a search that trains sampled architectures."""

    sampling: SamplingOptions
