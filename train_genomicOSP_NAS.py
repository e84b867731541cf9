"""genomeOSP-NAS: a random supernet that loses the operations it misses least.

The supernet holds --num_init_archs random operations per kind of cell, all with weight 1. In every
round some of them are drawn and the supernet is validated without each; all of them but the one
whose removal hurt most leave for good, and what is left trains on. The last removals are chosen
jointly.
"""

import argparse

import numpy as np

from generalNAS_tools.pictures.pictures import draw_curves, draw_genotype
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.options import (
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
    real,
    whole,
)
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
from randomSearch_and_Hyperband_Tools.removal_picture import draw_removals as draw_history
from randomSearch_and_Hyperband_Tools.removals import RemovalHistory


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_parser(__doc__)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser, epochs=60)
    add_run_options(parser, save_dir="results/osp_search")
    add = parser.add_argument_group("rounds").add_argument
    add("--num_init_archs", type=whole(0), default=108, help="operations per mask at the start")
    add("--pretrain_epochs", type=whole(1), default=10,
        help="epochs of the first supernet, on a cosine over --epochs")  # fmt: skip
    add("--num_ops", type=whole(0), default=7, help="removals drawn per mask and round")
    add("--budget", type=whole(1), default=5, help="epochs a round")
    add("--cnn_lr_decay", type=real(0.0), default=2e-4, help="what --cnn_lr loses every round")
    add("--rhn_lr_decay", type=real(0.0), default=0.1, help="what --rhn_lr loses every round")
    return parser.parse_args()


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    num_rounds = planned_rounds(args.num_init_archs, args.num_ops)
    start = initial_masks(np.random.default_rng(args.seed), args.num_init_archs)
    setup = set_up(args, "osp")
    run, history = setup.run, RemovalHistory()
    run.clock.total_epochs = args.pretrain_epochs + num_rounds * args.budget
    masks = Masks.from_lists(run.cursor["masks"]) if "masks" in run.cursor else start
    stage: OSPStage | None = None

    for number in range(run.cursor.get("round", 0), num_rounds + 1):
        cosine = args.budget if number > 0 else args.epochs
        stage = start_round(masks, stage, setup, args=round_rates(args, number), epochs=cosine)
        run.track(**stage.stateful(), removals=history)
        for epoch in run.epochs(args.budget if number > 0 else args.pretrain_epochs):
            row = stage.epoch(setup, args, epoch)
            run.end_epoch({"round": number, **row})

        if removals_left(masks) > 1:
            rng = np.random.default_rng([args.seed, number + 1])
            drawn = [draw_removals(mask, args.num_ops, rng) for mask in masks]
            candidates = candidate_masks(masks, drawn)
            losses = [stage.loss_of(candidate, setup) for candidate in candidates]
            smaller = remove_all_but(masks, drawn, hurt_most(losses))
            history.add(number + 1, masks, candidates, losses=losses, after=smaller)
            history.write(run)
            masks = smaller
            run.enter(round=number + 1, epoch=0, masks=masks.to_lists())

    assert stage is not None
    combinations = final_combinations(masks)
    losses = [stage.loss_of(combination, setup) for combination in combinations]
    best = hurt_least(losses)
    final = combinations[best]
    history.add(num_rounds + 1, masks, [final], losses=[losses[best]], after=final)
    history.write(run)
    draw_history(history.removals, start, run.files.path("removals", "png"))
    genotype = genotype_from_masks(final)
    draw_curves(run.history, run.files.path("curves", "png"))
    draw_genotype(genotype, run.files.path("genotype", "png"))
    run.files.write_genotype(genotype)


if __name__ == "__main__":
    run_command(main)
