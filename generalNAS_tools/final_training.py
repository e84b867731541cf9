"""Training one fixed network to the end: best weights kept, early stopping."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.atomic_files import check_writable
from generalNAS_tools.command import Setup
from generalNAS_tools.pictures import draw_curves
from generalNAS_tools.run_directory import Stateful
from generalNAS_tools.run_files import RunFiles
from generalNAS_tools.train_loop import validates
from generalNAS_tools.train_step import Forward
from generalNAS_tools.training_epoch import training_epoch

log = logging.getLogger(__name__)


def model_path(args: argparse.Namespace, files: RunFiles) -> Path:
    """Where the model of a run goes: --model_path, or beside the run's other files.

    Raises:
        ValueError: no file can be written there.
    """
    path = Path(args.model_path) if args.model_path else files.path("model", "pth")
    check_writable(path)
    return path


def train_final_network(
    network: nn.Module,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    *,
    schedule: CosineAnnealingLR | None,
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
        row = training_epoch(
            network,
            forward,
            optimizer,
            schedule=schedule,
            setup=setup,
            validate=validates(args, epoch),
        )
        best, loss = _best(run.history), row["valid_loss"]
        if best is None or (loss is not None and loss < best["valid_loss"]):
            run.check_finite(row)
            save_model()
        run.end_epoch(row)
    best = _best(run.history)
    if best is not None:
        log.info(
            "the model is that of epoch %d: valid_loss %.4f", best["epoch"], best["valid_loss"]
        )
    draw_curves(run.history, run.files.path("curves", "png"))


def _validated(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in history if row["valid_loss"] is not None]


def _best(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    return min(_validated(history), key=lambda row: row["valid_loss"], default=None)


def _epochs_since_best(history: list[dict[str, Any]]) -> int:
    """Epochs from the best validation to the last one; those not validated prove nothing."""
    best = _best(history)
    return _validated(history)[-1]["epoch"] - best["epoch"] if best is not None else 0
