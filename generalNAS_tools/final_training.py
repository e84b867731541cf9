"""Training one fixed network to the end: best weights kept, early stopping."""

import argparse
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from generalNAS_tools.command import Setup
from generalNAS_tools.pictures import draw_curves
from generalNAS_tools.run_directory import Stateful
from generalNAS_tools.train_loop import evaluate, figures_row, train_epoch, validates
from generalNAS_tools.train_step import Forward

log = logging.getLogger(__name__)


def train_final_network(
    network: nn.Module,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    *,
    schedule: LRScheduler | None,
    setup: Setup,
    args: argparse.Namespace,
    save_model: Callable[[], None],
) -> None:
    """Trains for --epochs, or until --patience epochs brought no better validation loss.

    `save_model` is called whenever the validation loss is the best so far, and after every
    epoch until the first validation.
    """
    run = setup.run
    run.clock.total_epochs = args.epochs
    tracked: dict[str, Stateful] = {"network": network, "optimizer": optimizer}
    if schedule is not None:
        tracked["schedule"] = schedule
    run.track(**tracked)
    for epoch in run.epochs(args.epochs):
        if args.patience and _epochs_since_best(run.history) >= args.patience:
            log.info("no better validation loss in %d epochs: early stop", args.patience)
            break
        train = train_epoch(
            network, forward, optimizer, split=setup.splits.train, run=run, options=setup.loop
        )
        valid = None
        if validates(args, epoch):
            valid = evaluate(
                network, forward, split=setup.splits.valid, run=run, options=setup.loop
            )
        if schedule is not None:
            schedule.step()
        row = figures_row(train, valid)
        losses = _losses(run.history)
        if not losses or (valid is not None and valid.loss < min(losses)):
            run.check_finite(row)
            save_model()
        run.end_epoch(row)
    draw_curves(run.history, run.files.path("curves", "png"))


def _losses(history: list[dict[str, Any]]) -> list[float]:
    return [row["valid_loss"] for row in history if row["valid_loss"] is not None]


def _epochs_since_best(history: list[dict[str, Any]]) -> int:
    losses = [row["valid_loss"] for row in history]
    known = _losses(history)
    return len(losses) - 1 - losses.index(min(known)) if known else 0
