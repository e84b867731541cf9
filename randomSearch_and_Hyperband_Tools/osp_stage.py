"""The supernet of OSP-NAS between two removals: training it, and validating parts of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.networks.supernet import Supernet, inherit_weights
from generalNAS_tools.runs.changes import Stateful
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.options import WeightOptions
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.mixing import MixingWeights, mask_mixing
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer
from generalNAS_tools.training.train_loop import evaluate
from generalNAS_tools.training.training_epoch import training_epoch


class OSPStage(NamedTuple):
    """What is trained in a round; `mixing` holds 1 for every operation of the supernet."""

    supernet: Supernet
    mixing: MixingWeights
    optimizer: torch.optim.Optimizer
    schedule: CosineAnnealingLR

    def stateful(self) -> Mapping[str, Stateful]:
        """Everything that a checkpoint must hold."""
        return {"supernet": self.supernet, "optimizer": self.optimizer, "schedule": self.schedule}

    def forward(self, x: Tensor) -> NetworkOutput:
        """The supernet with all its operations."""
        return self.supernet(x, self.mixing)

    def epoch(self, setup: Setup, epoch: int) -> dict[str, float | None]:
        """Trains, and validates if the flags ask for it; gives the history columns."""
        return training_epoch(
            self.supernet,
            self.forward,
            self.optimizer,
            schedule=self.schedule,
            setup=setup,
            validate=setup.loop.validates(epoch),
        )

    def loss_of(self, masks: Masks, setup: Setup) -> float:
        """Validation loss of the part that the masks leave, all weights as they are.

        Removed operations get weight 0: nothing is rebuilt or copied, so this costs what a
        validation of the supernet costs.
        """
        mixing = mask_mixing(masks, setup.device)
        figures = evaluate(
            self.supernet,
            lambda x: self.supernet(x, mixing),
            split=setup.splits.valid,
            run=setup.run,
            options=setup.loop,
            areas=False,
        )
        return figures.loss


def start_round(
    masks: Masks, before: OSPStage | None, setup: Setup, *, weights: WeightOptions, epochs: int
) -> OSPStage:
    """Builds the supernet of the masks, with the weights of the one before.

    What the masks have lost is not in the new supernet, so that it is smaller and faster.

    Args:
        masks: the operations that are left.
        before: the stage whose weights are kept; None for fresh ones.
        setup: data and options of the run.
        weights: how they are trained, with the learning rates of this round.
        epochs: length of the cosine schedule.
    """
    supernet = Supernet(masks, setup.network)
    if before is not None:
        inherit_weights(supernet, before.supernet)
    supernet.to(setup.device)
    optimizer = weight_optimizer(supernet, weights)
    schedule = cosine_schedule(optimizer, weights, epochs=epochs)
    return OSPStage(supernet, mask_mixing(masks, setup.device), optimizer, schedule)


def round_rates(
    weights: WeightOptions, number: int, *, cnn_lr_decay: float, rhn_lr_decay: float
) -> WeightOptions:
    """The options with the learning rates of a round, which fall by a fixed step each round.

    Args:
        weights: as given.
        number: of the round, from 1; 0 is the pre-training.
        cnn_lr_decay: what `cnn_lr` loses every round; it never falls below 0.
        rhn_lr_decay: what `rhn_lr` loses.
    """
    return replace(
        weights,
        cnn_lr=max(0.0, weights.cnn_lr - cnn_lr_decay * number),
        rhn_lr=max(0.0, weights.rhn_lr - rhn_lr_decay * number),
    )
