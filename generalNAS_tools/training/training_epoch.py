"""An epoch as every network has it: train, validate, go on in the schedule."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.training.epoch_metrics import figures_row
from generalNAS_tools.training.optimizers import step_schedule
from generalNAS_tools.training.train_loop import evaluate, train_epoch
from generalNAS_tools.training.train_step import Forward


def training_epoch(
    network: nn.Module,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    *,
    schedule: CosineAnnealingLR | None,
    setup: Setup,
    validate: bool,
    before_step: Callable[[int, int, Batch], None] | None = None,
) -> dict[str, float | None]:
    """Trains and, if asked to, validates for an epoch; gives its history columns.

    Args:
        network: what is trained.
        forward: one-hot DNA → output.
        optimizer: of the weights.
        schedule: of its learning rates, one step an epoch; None keeps them.
        setup: data and options of the run.
        validate: measure loss and F1 on the validation set.
        before_step: called with epoch, step and batch before each weight step.
    """
    train = train_epoch(
        network,
        forward,
        optimizer,
        split=setup.splits.train,
        run=setup.run,
        options=setup.loop,
        before_step=before_step,
    )
    valid = None
    if validate:
        valid = evaluate(
            network, forward, split=setup.splits.valid, run=setup.run, options=setup.loop
        )
    if schedule is not None:
        step_schedule(schedule)
    return figures_row(train, valid)
