"""genomeOSP-NAS: a random supernet that loses the operations it misses least.

The supernet holds --num_init_archs random operations per kind of cell, all with weight 1. In every
round some of them are drawn and the supernet is validated without each; all of them but the one
whose removal hurt most leave for good, and what is left trains on. No removal may leave a node with
too few edges (`osp_masks.eligible_edges`). The last removals are chosen jointly.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from generalNAS_tools.pictures.pictures import draw_curves, draw_genotype
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, real, whole
from generalNAS_tools.runs.options import SupernetOptions, TrainingOptions
from generalNAS_tools.search_space.edge_masks import Masks, genotype_from_masks
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    final_combinations,
    hurt_least,
    hurt_most,
    initial_masks,
    planned_rounds,
    removals_left,
    remove_all_but,
)
from randomSearch_and_Hyperband_Tools.osp_stage import OSPStage, round_rates, start_round
from randomSearch_and_Hyperband_Tools.removal_picture import draw_history
from randomSearch_and_Hyperband_Tools.removals import RemovalHistory

DEFAULTS = {"save_dir": "results/osp_search", "epochs": 60, "head_dropout": 0.5}


@dataclass(frozen=True, kw_only=True)
class RoundOptions:
    """The rounds of removals."""

    title: ClassVar = "rounds"
    num_init_archs: int = flag(whole(0), 108, "operations per mask at the start")
    pretrain_epochs: int = flag(
        whole(1), 10, "epochs of the first supernet, on a cosine over --epochs"
    )
    num_ops: int = flag(whole(0), 7, "removals drawn per mask and round")
    budget: int = flag(whole(1), 5, "epochs a round")
    cnn_lr_decay: float = flag(real(0.0), 2e-4, "what --cnn_lr loses every round (SGD)")
    rhn_lr_decay: float = flag(real(0.0), 0.1, "what --rhn_lr loses every round (SGD)")


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    """The flags of this script."""

    rounds: RoundOptions
    supernet: SupernetOptions


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(Options, __doc__, **DEFAULTS)
    rounds, seed = options.rounds, options.run.seed
    num_rounds = planned_rounds(rounds.num_init_archs, rounds.num_ops)
    start = masks = initial_masks(np.random.default_rng(seed), rounds.num_init_archs)
    setup = set_up(options, "osp", supernet=options.supernet)
    run, history = setup.run, RemovalHistory()
    run.clock.total_epochs = rounds.pretrain_epochs + num_rounds * rounds.budget
    decay = {"cnn_lr_decay": rounds.cnn_lr_decay, "rhn_lr_decay": rounds.rhn_lr_decay}
    stage: OSPStage | None = None
    lengths = [rounds.pretrain_epochs] + num_rounds * [rounds.budget]

    for number, epochs in run.through("round", lengths):
        masks = Masks.from_lists(run.remember("masks", masks.to_lists))
        weights = round_rates(options.weights, number, **decay)
        cosine = epochs if number > 0 else options.length.epochs
        stage = start_round(masks, stage, setup, weights=weights, epochs=cosine)
        run.track(**stage.stateful(), removals=history)
        for epoch in run.epochs(epochs):
            run.end_epoch({"round": number, **stage.epoch(setup, epoch)})

        if removals_left(masks) > 1:
            rng = np.random.default_rng([seed, number + 1])
            drawn = [draw_removals(mask, rounds.num_ops, rng) for mask in masks]
            candidates = candidate_masks(masks, drawn)
            losses = [stage.loss_of(candidate, setup) for candidate in candidates]
            smaller = remove_all_but(masks, drawn, hurt_most(losses))
            history.add(number + 1, masks, candidates, losses=losses, after=smaller)
            history.write(run)
            masks = smaller

    assert stage is not None
    combinations = final_combinations(masks)
    losses = [stage.loss_of(combination, setup) for combination in combinations]
    best = hurt_least(losses)
    final = combinations[best]
    history.add(num_rounds + 1, masks, [final], losses=[losses[best]], after=final)
    history.write(run)
    run.draw("removals", draw_history, history.removals, start)
    genotype = genotype_from_masks(final)
    run.draw("curves", draw_curves, run.history)
    run.draw("genotype", draw_genotype, genotype)
    run.files.write_genotype(genotype)


if __name__ == "__main__":
    run_command(main)
