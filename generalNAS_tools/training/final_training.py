"""Training one fixed network to the end: best weights kept, early stopping."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.files.atomic_files import check_writable
from generalNAS_tools.files.checkpoints import load_weights, save_weights
from generalNAS_tools.pictures.pictures import draw_curves
from generalNAS_tools.runs.changes import CHANGES, Stateful
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.options import ModelOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.training.train_step import Forward
from generalNAS_tools.training.training_epoch import training_epoch

log = logging.getLogger(__name__)

Row = dict[str, Any]


def train_final_network(
    network: nn.Module,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    *,
    schedule: CosineAnnealingLR | None,
    setup: Setup,
    epochs: int,
    options: ModelOptions,
    description: Mapping[str, Any],
) -> None:
    """Trains for --epochs, or until --patience epochs brought no better validation loss.

    The model file (--model_path, else beside the run's other files) holds the weights of the
    epoch with the best validation loss, or of the last one before the first validation; at the
    end the network has them too.

    Args:
        network: what is trained.
        forward: one-hot DNA → output.
        optimizer: of the weights.
        schedule: of its learning rates; None keeps them.
        setup: data, run and options.
        epochs: to train, at most.
        options: patience, and where the model goes.
        description: what the model file holds besides `weights` and `trained`, the figures of
            their epoch.

    Raises:
        ValueError: the model can't be written there, or what lies there isn't this run's.
    """
    run = setup.run
    path, patience = _model_path(options.model_path, run), options.patience
    if patience and not any(setup.loop.validates(epoch) for epoch in range(epochs)):
        log.warning("--patience has no effect: no epoch is validated")
    run.clock.total_epochs = epochs
    scheduled: dict[str, Stateful] = {} if schedule is None else {"schedule": schedule}
    run.track(network=network, optimizer=optimizer, **scheduled)
    for epoch in run.epochs(epochs):
        if patience and _epochs_since_best(run.history) >= patience:
            log.info("no better validation loss in %d epochs: early stop", patience)
            break
        validate = setup.loop.validates(epoch)
        row = training_epoch(
            network, forward, optimizer, schedule=schedule, setup=setup, validate=validate
        )
        trained = {"epoch": len(run.history) + 1, **row}
        if _best([*run.history, trained]) in (trained, None):
            run.check_finite(row)
            weights = network.state_dict()
            save_weights(path, {**description, "trained": trained, "weights": weights})
        run.end_epoch(row)
    model = _load_model(path, run.history)
    network.load_state_dict(model["weights"])
    log.info("%s holds the weights of epoch %d", path, model["trained"]["epoch"])
    run.draw("curves", draw_curves, run.history)


def _model_path(model_path: str | None, run: RunDirectory) -> Path:
    """Where the model goes; nothing but a model is ever replaced.

    Raises:
        ValueError: no model can be written there, or a run that goes on has lost its own.
    """
    usual = run.files.path("model", "pth")
    path = Path(model_path) if model_path else usual
    check_writable(path)
    if run.files.owns(path) and path.resolve() != usual.resolve():
        raise ValueError(f"--model_path {path}: the run writes this file itself; name another")
    run.files.hold_model(path)
    if run.history:
        _load_model(path, run.history, resumed=True)
    elif path.exists() and "weights" not in load_weights(path):
        raise ValueError(f"--model_path {path}: holds something else than a model; name another")
    return path


def _load_model(path: Path, history: list[Row], *, resumed: bool = False) -> dict[str, Any]:
    """Reads the model of the run that has this history.

    Args:
        path: the model file.
        history: of the run.
        resumed: the epoch after the history may have saved it before the run was killed.

    Raises:
        ValueError: it is missing or another run's.
    """
    kept = _best(history) or history[-1]
    expected = {name: value for name, value in kept.items() if name not in {"seconds", CHANGES}}
    model = load_weights(path) if path.exists() else {}
    trained = model.get("trained")
    ahead = isinstance(trained, dict) and trained.get("epoch") == len(history) + 1
    if trained != expected and not (resumed and ahead):
        raise ValueError(
            f"{path}: not the model that this run saved after epoch {kept['epoch']}; put it back, "
            "or train again with --restart"
        )
    return model


def _validated(history: list[Row]) -> list[Row]:
    return [row for row in history if row["valid_loss"] is not None]


def _best(history: list[Row]) -> Row | None:
    return min(_validated(history), key=lambda row: row["valid_loss"], default=None)


def _epochs_since_best(history: list[Row]) -> int:
    """Epochs from the best validation to the last one; those not validated prove nothing."""
    best = _best(history)
    return _validated(history)[-1]["epoch"] - best["epoch"] if best is not None else 0
