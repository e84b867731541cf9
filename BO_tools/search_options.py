"""Flags of genomeBONAS, checked against each other."""

from dataclasses import dataclass
from typing import ClassVar

from BO_tools.acquisition import ACQUISITIONS
from BO_tools.proposals import SAMPLERS
from generalNAS_tools.runs.flags import MAX_ARCHITECTURES, flag, whole
from generalNAS_tools.runs.options import (
    DataOptions,
    ScoreOptions,
    SupernetOptions,
    TrainingOptions,
)
from predictors.predictor_training import PredictorOptions


@dataclass(frozen=True, kw_only=True)
class ScoringDataOptions(DataOptions):
    """Where the data are; batches of training have sizes of their own."""

    batch_size: int = flag(
        whole(2), 64, "sequences a batch of recalibration, and of scoring by running statistics"
    )


@dataclass(frozen=True, kw_only=True)
class RoundOptions:
    """The rounds of architectures."""

    title: ClassVar = "rounds"
    iterations: int = flag(whole(0), 2, "rounds after the initial design")
    init_num: int | None = flag(
        whole(0, MAX_ARCHITECTURES),
        None,
        "random ones to start with (default: --bo_sample_num); 0 needs --archive",
    )
    bo_sample_num: int = flag(whole(1, MAX_ARCHITECTURES), 60, "architectures trained in a round")
    train_supernet_epochs: int = flag(
        whole(0), 15, "first --epochs of a round, which train all its operations at once"
    )
    super_batch_size: int = flag(whole(2), 64, "sequences a step of these epochs")
    sub_batch_size: int = flag(
        whole(2), 128, "sequences a step of the other epochs, one drawn subnet each"
    )
    recalibration_steps: int = flag(
        whole(1), 50, "training batches for the BatchNorm statistics of a scored subnet"
    )
    archive: str | None = flag(
        str, None, "archive-*.jsonl of an earlier run, whose scores this one starts with"
    )

    @property
    def initial(self) -> int:
        """Architectures of the initial design."""
        return self.bo_sample_num if self.init_num is None else self.init_num


@dataclass(frozen=True, kw_only=True)
class SurrogateOptions(PredictorOptions):
    """The surrogate, and what it chooses from."""

    title: ClassVar = "surrogate"
    sample_method: str = flag(str, "ea", "what proposes candidates", choices=SAMPLERS)
    generate_num: int = flag(whole(1, MAX_ARCHITECTURES), 1000, "candidates proposed in a round")
    acquisition: str = flag(
        str,
        "ucb",
        "what ranks them: upper confidence bound or expected improvement",
        choices=ACQUISITIONS,
    )


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    """Every flag of the search."""

    data: ScoringDataOptions
    rounds: RoundOptions
    surrogate: SurrogateOptions
    score: ScoreOptions
    supernet: SupernetOptions

    def check(self) -> None:
        """Checks flags against each other.

        Raises:
            ValueError: naming the flag.
        """
        rounds, epochs = self.rounds, self.length.epochs
        if rounds.train_supernet_epochs > epochs:
            raise ValueError(
                f"--train_supernet_epochs {rounds.train_supernet_epochs}: expected 0..{epochs} "
                "(--epochs)"
            )
        if rounds.bo_sample_num > self.surrogate.generate_num:
            raise ValueError(
                f"--bo_sample_num {rounds.bo_sample_num}: expected "
                f"1..{self.surrogate.generate_num} (--generate_num)"
            )
