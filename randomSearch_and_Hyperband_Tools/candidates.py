"""Sampled architectures: trained one at a time, waiting for their turns on disk."""

import logging
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.files import ranks
from generalNAS_tools.files.checkpoints import (
    load_weights,
    random_states,
    save_weights,
    set_random_states,
)
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.runs.changes import Stateful, load_states
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.divergence import Diverged
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.genotypes import Genotype
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer
from generalNAS_tools.training.training_epoch import training_epoch
from randomSearch_and_Hyperband_Tools.sampling_options import SampledOptions
from randomSearch_and_Hyperband_Tools.scores import Score

log = logging.getLogger(__name__)


class Candidate(NamedTuple):
    """A sampled architecture in training; `number` counts from 0."""

    number: int
    network: FinalNetwork
    optimizer: torch.optim.Optimizer
    schedule: CosineAnnealingLR

    def stateful(self) -> dict[str, Stateful]:
        """Everything that a checkpoint must hold."""
        return {"network": self.network, "optimizer": self.optimizer, "schedule": self.schedule}


class CandidateStore:
    """Files of the candidates that wait for their next turn, so that memory holds only one.

    Args:
        run: whose candidates they are; a fresh one removes what an earlier run of its name left.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run, self._files, self._device = run, run.files, run.device
        if not run.continues and ranks.number() == 0:
            name = re.compile(rf"waiting_\d+-{re.escape(self._files.save)}\.pt")
            for path in self._files.folder.glob("waiting_*"):
                if name.fullmatch(path.name):
                    path.unlink()

    def path(self, number: int) -> Path:
        """Where a candidate waits."""
        return self._files.path(f"waiting_{number + 1}", "pt")

    def keep(self, candidate: Candidate) -> None:
        """Writes all that the candidate's next epoch depends on, atomically.

        Raises:
            ValueError: the file can't be written.
        """
        state = {name: target.state_dict() for name, target in candidate.stateful().items()}
        save_weights(self.path(candidate.number), state | {"random": random_states(self._device)})

    def bring_back(self, candidate: Candidate) -> None:
        """Puts a new candidate where `keep` found it, unless the checkpoint holds a later state.

        Raises:
            ValueError: its file is missing or damaged.
        """
        if self._run.continues:
            return
        load_candidate(self.path(candidate.number), candidate, self._device)

    def dismiss(self, numbers: Iterable[int]) -> None:
        """Removes the files of candidates that are out."""
        for number in numbers:
            self.path(number).unlink(missing_ok=True)


def load_candidate(path: Path, candidate: Candidate, device: torch.device) -> None:
    """Puts a new candidate where `CandidateStore.keep` found it.

    Raises:
        ValueError: the file is missing or damaged.
    """
    state = load_weights(path)
    try:
        load_states(candidate.stateful(), state)
        set_random_states(state["random"], device)
    except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: doesn't fit its candidate; --restart") from error


def start_candidate(
    number: int, genotype: Genotype, setup: Setup, options: SampledOptions
) -> Candidate:
    """Builds a candidate's network; its weights depend on --seed and its number alone."""
    rng = np.random.default_rng([options.run.seed, number + 1])
    torch.manual_seed(int(rng.integers(2**63)))
    network = FinalNetwork(genotype, setup.network, drop_path=options.sampling.drop_path_prob)
    network.to(setup.device)
    optimizer = weight_optimizer(network, options.weights)
    schedule = cosine_schedule(optimizer, options.weights, epochs=options.length.epochs)
    return Candidate(number, network, optimizer, schedule)


def train_candidate(candidate: Candidate, setup: Setup, *, epochs: int, first: int = 0) -> Score:
    """Trains a tracked candidate until it has had `epochs` epochs; the last one is validated.

    Args:
        candidate: tracked by the run, which lets go of it at the end.
        setup: data and options of the run.
        epochs: the total, earlier turns included.
        first: the epochs of earlier turns.
    """
    run, diverged = setup.run, False
    try:
        train_epochs(candidate, setup, epochs=epochs, first=first)
    except Diverged as error:
        log.warning("candidate %d is out: %s", candidate.number + 1, error.what)
        diverged, run.partial = True, None
        run.clock.start_epoch()
    run.track()
    return score_of(candidate.number, candidate.network, run, diverged=diverged)


def train_epochs(candidate: Candidate, setup: Setup, *, epochs: int, first: int) -> None:
    """As `train_candidate`.

    Raises:
        Diverged: a loss or a weight is not finite.
    """
    for epoch in setup.run.epochs(epochs, first):
        row = training_epoch(
            candidate.network,
            candidate.network,
            candidate.optimizer,
            schedule=candidate.schedule,
            setup=setup,
            validate=epoch + 1 == epochs or setup.loop.validates(epoch),
        )
        setup.run.end_epoch({"candidate": candidate.number + 1, **row})


def score_of(number: int, network: nn.Module, run: RunDirectory, *, diverged: bool) -> Score:
    """What the history says of a candidate."""
    rows = [row for row in run.history if row["candidate"] == number + 1]
    columns = ("acc_valid", "valid_auroc", "valid_auprc", "valid_loss")
    last = dict.fromkeys(columns, math.nan) if diverged else rows[-1]
    return Score(
        last["acc_valid"],
        last["valid_auroc"],
        last["valid_auprc"],
        last["valid_loss"],
        sum(parameter.numel() for parameter in network.parameters()),
        len(rows),
        round(sum(row["seconds"] for row in rows), 3),
    )
