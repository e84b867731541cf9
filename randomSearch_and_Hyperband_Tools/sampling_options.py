"""Flags that random search and Hyperband share."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from generalNAS_tools.runs.flags import MAX_ARCHITECTURES, flag, rate_below_one, whole
from generalNAS_tools.runs.options import ScoreOptions, TrainingOptions
from generalNAS_tools.workers.options import ElsewhereOptions


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The sampled architectures."""

    title: ClassVar = "candidates"
    num_samples: int = flag(whole(1, MAX_ARCHITECTURES), 20, "architectures to draw")
    drop_path_prob: float = flag(rate_below_one, 0.2, "rate of drop path")


@dataclass(frozen=True, kw_only=True)
class SampledOptions(TrainingOptions):
    """The options of a search that trains sampled architectures."""

    sampling: SamplingOptions
    score: ScoreOptions


@dataclass(frozen=True, kw_only=True)
class SharedOptions(ElsewhereOptions, SampledOptions):
    """`SampledOptions` of a search whose candidates others may train."""

    @cached_property
    def elsewhere(self) -> str | None:
        """The type of device on which others train; None if the search does it itself.

        Raises:
            ValueError: there is no such device, or they are of several kinds.
        """
        return self.kind_elsewhere(self.run.device)
