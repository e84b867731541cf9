"""A round of genomeBONAS: architectures merged into one supernet, trained and scored with it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from BO_tools.search_options import Options
from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.changes import Stateful
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.search_space.edge_masks import Masks, masks_from_genotype
from generalNAS_tools.search_space.genotypes import Genotype
from generalNAS_tools.search_space.mixing import mask_mixing
from generalNAS_tools.training.epoch_metrics import EpochMetrics
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer
from generalNAS_tools.training.train_loop import evaluate
from generalNAS_tools.training.train_step import Forward
from generalNAS_tools.training.training_epoch import training_epoch
from opendomain_utils.archive import ScoredArchitecture
from opendomain_utils.batchnorm_recalibration import recalibrated


class SharedTraining:
    """The supernet of some architectures; their operations all have weight 1.

    Args:
        architectures: at least one.
        setup: data and options of the run.
        options: learning rates, batch sizes, epochs and steps.
    """

    def __init__(self, architectures: Sequence[Genotype], setup: Setup, options: Options) -> None:
        self._setup, self._rounds = setup, options.rounds
        self._criterion = options.score.criterion
        masks = merge_masks([masks_from_genotype(genotype) for genotype in architectures])
        self._mixing = mask_mixing(masks, setup.device)
        self.supernet = Supernet(masks, setup.network).to(setup.device)
        self._optimizer = weight_optimizer(self.supernet, options.weights)
        self._optimizer.register_step_pre_hook(_fill_gradients)
        self._schedule = cosine_schedule(
            self._optimizer, options.weights, epochs=options.length.epochs
        )
        self._subnets = [
            _subnet(genotype, self.supernet, setup.device) for genotype in architectures
        ]
        self._drawn = self._subnets[0]

    def stateful(self) -> Mapping[str, Stateful]:
        """Everything that a checkpoint must hold."""
        return {"supernet": self.supernet, "optimizer": self._optimizer, "schedule": self._schedule}

    def train_whole(self, epoch: int) -> dict[str, float | None]:
        """An epoch of all operations at once; gives the history columns."""
        loop = replace(self._setup.loop, batch_size=self._rounds.super_batch_size)
        return training_epoch(
            self.supernet,
            lambda x: self.supernet(x, self._mixing),
            self._optimizer,
            schedule=self._schedule,
            setup=self._setup._replace(loop=loop),
            validate=loop.validates(epoch),
        )

    def train_subnets(self) -> dict[str, float | None]:
        """An epoch of one uniformly drawn subnet a step, without the slowness penalty.

        There is no validation: each subnet wants BatchNorm statistics of its own, see `score`.
        Nor is a step captured: it would take a graph, with its memory, for each subnet.
        """
        size = self._rounds.sub_batch_size
        loop = replace(self._setup.loop, batch_size=size, beta=0.0, cuda_graph=False)
        return training_epoch(
            self.supernet,
            lambda x: self._drawn(x),
            self._optimizer,
            schedule=self._schedule,
            setup=self._setup._replace(loop=loop),
            validate=False,
            before_step=self._draw,
        )

    def score(self, genotype: Genotype, iteration: int) -> ScoredArchitecture:
        """Scores one of the architectures on the validation set, with its own statistics.

        BatchNorms of the CNN take averages over training batches, the RHN what --rhn_statistics
        says. The supernet stays as it is, and no random number is drawn.
        """
        start = time.monotonic()
        setup = self._setup
        forward, loop = _subnet(genotype, self.supernet, setup.device), setup.loop
        if loop.batch_statistics:
            loop = replace(loop, batch_size=self._rounds.sub_batch_size)
        with recalibrated(
            self.supernet,
            forward,
            split=setup.splits.train,
            steps=self._rounds.recalibration_steps,
            options=setup.loop,
        ):
            figures = evaluate(
                self.supernet, forward, split=setup.splits.valid, run=setup.run, options=loop
            )
        finite = math.isfinite(figures.loss)
        return ScoredArchitecture(
            genotype,
            unit_score(figures, self._criterion),
            round(time.monotonic() - start, 3),
            iteration,
            criterion=self._criterion,
            valid_loss=figures.loss if finite else None,
            **{name: getattr(figures, name) for name in ("f1", "auroc", "auprc")},
        )

    def _draw(self, epoch: int, step: int, _: Batch) -> None:
        """Depends on nothing but seed, epoch and step, so resuming needs no state."""
        rng = np.random.default_rng([self._setup.loop.seed, epoch, step])
        self._drawn = self._subnets[rng.integers(len(self._subnets))]


def unit_score(figures: EpochMetrics, criterion: str) -> float:
    """A validation by the criterion, from 0 to 1 and higher if better; a loss l is exp(−l)."""
    if not math.isfinite(figures.loss):
        return 0.0
    if criterion == "loss":
        return math.exp(-figures.loss)
    value: float | None = getattr(figures, criterion)
    return 0.0 if value is None else value


def merge_masks(masks: Sequence[Masks]) -> Masks:
    """The union of masks: every operation that any of them has."""
    return Masks(*(np.logical_or.reduce(cell) for cell in zip(*masks, strict=True)))


def _subnet(genotype: Genotype, supernet: Supernet, device: torch.device) -> Forward:
    """The forward pass of one of the architectures; it holds the supernet, not its training."""
    masks = masks_from_genotype(genotype)
    mixing = mask_mixing(masks, device)
    return lambda x: supernet(x, mixing, masks)


def _fill_gradients(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Gives zeros to the weights that a subnet lacks, so that all decay and coast alike.

    The operations that share a batch with one of the subnet's have zeros anyway, and torch's
    fused SGD can't take a weight that gets its first gradient later than others.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
