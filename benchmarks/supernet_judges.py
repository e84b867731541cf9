"""Supernets that score architectures, trained as BONAS, OSP-NAS and DARTS train them."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

from BO_tools.search_options import Options as BONASOptions
from BO_tools.search_options import RoundOptions, SurrogateOptions
from BO_tools.shared_training import SharedTraining
from darts_tools.alphas import Alphas
from darts_tools.search_stage import (
    AlphaOptions,
    AlphaRule,
    DifferentiableOptions,
    search_epoch,
    start_stage,
)
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.flags import flag, whole
from generalNAS_tools.runs.options import (
    LengthOptions,
    ScoreOptions,
    SupernetOptions,
    TrainingOptions,
)
from generalNAS_tools.runs.run_directory import Stateful
from generalNAS_tools.search_space.edge_masks import full_masks, masks_from_genotype
from generalNAS_tools.search_space.genotypes import Genotype
from generalNAS_tools.search_space.mixing import mask_mixing
from generalNAS_tools.training.train_loop import evaluate
from randomSearch_and_Hyperband_Tools.osp_stage import start_round
from randomSearch_and_Hyperband_Tools.sampling_options import SamplingOptions

LEAST = 3
"""Architectures that have an order worth the name."""
CRITERIA = {"auprc": "AUPRC", "auroc": "AUROC", "valid_loss": "loss"}
Figures = Mapping[str, float | None]
"""Validation figures of an architecture by criterion; None for one that isn't finite."""
Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """How the supernets are trained, and how often each architecture alone."""

    title: ClassVar = "ranking"
    supernet_epochs: int = flag(whole(1), 10, "epochs of each supernet")
    whole_epochs: int = flag(whole(0), 3, "first ones in which BONAS's trains as a whole")
    frozen_epochs: int = flag(whole(0), 3, "first ones without alpha steps of DARTS's")
    recalibration_steps: int = flag(
        whole(1), 50, "training batches for the BatchNorm statistics of BONAS's subnets"
    )
    repeats: int = flag(
        whole(1), 2, "trainings of each architecture alone, of which the mean is the truth"
    )


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    """The flags of benchmarks/supernet_ranking.py; --epochs is what one alone gets."""

    sampling: SamplingOptions
    ranking: RankingOptions
    alphas: AlphaOptions

    def check(self) -> None:
        """Checks flags against each other.

        Raises:
            ValueError: naming the flag.
        """
        chosen, count = self.ranking, self.sampling.num_samples
        if count < LEAST:
            raise ValueError(f"--num_samples {count}: expected at least {LEAST}, to be ordered")
        for name in ("whole_epochs", "frozen_epochs"):
            if getattr(chosen, name) > chosen.supernet_epochs:
                raise ValueError(
                    f"--{name} {getattr(chosen, name)}: expected 0..{chosen.supernet_epochs} "
                    "(--supernet_epochs)"
                )

    def part(self, kind: type[Kind], **more: Any) -> Kind:
        """The options of a search whose tools are used here."""
        names = {field.name for field in dataclasses.fields(kind)} - more.keys()  # type: ignore[arg-type]
        return kind(**{name: getattr(self, name) for name in names}, **more)


class Judge(NamedTuple):
    """A supernet in training.

    Attributes:
        stateful: all that a checkpoint must hold.
        epoch: trains for the epoch of that number; gives the history columns.
        score: of an architecture, evaluated as the set-up says.
    """

    stateful: Mapping[str, Stateful]
    epoch: Callable[[int], dict[str, float | None]]
    score: Callable[[Genotype, Setup], Figures]


def bonas(genotypes: Sequence[Genotype], setup: Setup, options: Options) -> Judge:
    """The supernet of the architectures alone, trained as a whole, then subnet by subnet."""
    chosen, size = options.ranking, options.data.batch_size
    rounds = RoundOptions(
        super_batch_size=size, sub_batch_size=size, recalibration_steps=chosen.recalibration_steps
    )
    own = options.part(
        BONASOptions,
        rounds=rounds,
        surrogate=SurrogateOptions(),
        length=LengthOptions(epochs=chosen.supernet_epochs),
        score=ScoreOptions(),
        supernet=SupernetOptions(),
    )
    shared = SharedTraining(genotypes, setup, own)

    def epoch(number: int) -> dict[str, float | None]:
        whole = number < chosen.whole_epochs
        return shared.train_whole(number) if whole else shared.train_subnets()

    def score(genotype: Genotype, judged: Setup) -> Figures:
        judge = SharedTraining([genotype], judged, own)
        judge.supernet = shared.supernet
        return figures_of(judge.score(genotype, iteration=0))

    return Judge(shared.stateful(), epoch, score)


def osp(_: Sequence[Genotype], setup: Setup, options: Options) -> Judge:
    """The supernet of all operations, each of weight 1, as OSP-NAS pre-trains it."""
    epochs = options.ranking.supernet_epochs
    stage = start_round(full_masks(), None, setup, weights=options.weights, epochs=epochs)
    return Judge(stage.stateful(), lambda epoch: stage.epoch(setup, epoch), _masked(stage.supernet))


def darts(_: Sequence[Genotype], setup: Setup, options: Options) -> Judge:
    """The supernet of all operations, mixed by the softmax of its alphas, and discretised."""
    stage = start_stage(
        Supernet(full_masks(), setup.network),
        Alphas(full_masks()),
        setup,
        options=options.part(DifferentiableOptions, supernet=SupernetOptions()),
        epochs=options.ranking.supernet_epochs,
        rule=AlphaRule(),
    )

    def epoch(number: int) -> dict[str, float | None]:
        frozen = number < options.ranking.frozen_epochs
        return search_epoch(stage, setup, epoch=number, frozen=frozen)

    return Judge(stage.stateful(), epoch, _masked(stage.supernet))


JUDGES = {"BONAS": bonas, "OSP": osp, "DARTS": darts}


def _masked(supernet: Supernet) -> Callable[[Genotype, Setup], Figures]:
    """Scores by the supernet as it is, in which only an architecture's operations count."""

    def score(genotype: Genotype, judged: Setup) -> Figures:
        masks = masks_from_genotype(genotype)
        mixing = mask_mixing(masks, judged.device)
        figures = evaluate(
            supernet,
            lambda x: supernet(x, mixing, masks),
            split=judged.splits.valid,
            run=judged.run,
            options=judged.loop,
        )
        return figures_of(figures, loss="loss")

    return score


def figures_of(source: Any, *, loss: str = "valid_loss") -> Figures:
    """The criteria of whatever has them; the loss may have another name there."""
    found = {name: getattr(source, loss if name == "valid_loss" else name) for name in CRITERIA}
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in found.items()
    }
