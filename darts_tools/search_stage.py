"""One supernet with its alphas and everything that trains them: a stage of a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from darts_tools.alphas import Alphas
from darts_tools.architect import Architect
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.changes import Stateful
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.flags import flag, real
from generalNAS_tools.runs.options import SearchOptions, SupernetOptions
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer
from generalNAS_tools.training.training_epoch import training_epoch


@dataclass(frozen=True, kw_only=True)
class AlphaOptions:
    """How the alphas of a differentiable search are trained: the flags of their Adam."""

    title: ClassVar = "alphas"
    arch_lr: float = flag(real(0.0), 3e-3, "learning rate of their Adam")
    arch_weight_decay: float = flag(real(0.0), 1e-3, "their weight decay")


@dataclass(frozen=True, kw_only=True)
class DifferentiableOptions(SearchOptions):
    """What every differentiable search takes."""

    alphas: AlphaOptions
    supernet: SupernetOptions


class AlphaRule(NamedTuple):
    """What of the alphas' steps belongs to an algorithm.

    Attributes:
        betas: of Adam.
        clip: largest total norm of their gradient, or None.
        unrolled: second-order steps.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None
    unrolled: bool = False


class SearchStage(NamedTuple):
    """What is trained in a stage."""

    supernet: Supernet
    alphas: Alphas
    optimizer: torch.optim.Optimizer
    schedule: CosineAnnealingLR
    architect: Architect

    def stateful(self) -> Mapping[str, Stateful]:
        """Everything that a checkpoint must hold."""
        return {
            "supernet": self.supernet,
            "alphas": self.alphas,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "alpha optimizer": self.architect.optimizer,
        }

    def forward(self, x: Tensor) -> NetworkOutput:
        """The supernet as the weight step sees it: the mixing weights are constants."""
        with torch.no_grad():
            mixing = self.alphas.mixing_weights()
        return self.supernet(x, mixing)


def start_stage(
    supernet: Supernet,
    alphas: Alphas,
    setup: Setup,
    *,
    options: DifferentiableOptions,
    epochs: int,
    rule: AlphaRule,
) -> SearchStage:
    """Moves a supernet and its alphas to the device and gives them fresh optimizers.

    Args:
        supernet: with fresh or inherited weights.
        alphas: fresh or carried on.
        setup: data and options of the run.
        options: learning rates and weight decays.
        epochs: length of the cosine schedule.
        rule: how the algorithm steps the alphas.
    """
    supernet.to(setup.device)
    alphas.to(setup.device)
    optimizer = weight_optimizer(supernet, options.weights)
    adam = torch.optim.Adam(
        alphas.parameters(),
        options.alphas.arch_lr,
        betas=rule.betas,
        weight_decay=options.alphas.arch_weight_decay,
    )
    architect = Architect(
        supernet,
        alphas,
        adam,
        weight_optimizer=optimizer,
        split=setup.splits.valid,
        options=setup.loop,
        clip=rule.clip,
        unrolled=rule.unrolled,
    )
    schedule = cosine_schedule(optimizer, options.weights, epochs=epochs)
    return SearchStage(supernet, alphas, optimizer, schedule, architect)


def search_epoch(
    stage: SearchStage, setup: Setup, *, epoch: int, frozen: bool
) -> dict[str, float | None]:
    """Trains and validates for an epoch; gives its history columns.

    Args:
        stage: what is trained.
        setup: data and options of the run.
        epoch: the stage's epoch, from 0.
        frozen: leave the alphas as they are.
    """
    return training_epoch(
        stage.supernet,
        stage.forward,
        stage.optimizer,
        schedule=stage.schedule,
        setup=setup,
        validate=setup.loop.validates(epoch),
        before_step=None if frozen else stage.architect.step,
    )
