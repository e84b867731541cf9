"""genomeCWP-DARTS: P-DARTS that goes on with the weights and alphas of the stage before.

Every stage keeps the strongest primitives on every edge. The next one inherits the weights of
every operation that survives, its BatchNorm statistics, the RHN, stem and head, and the alphas of
the kept primitives, so its stages can be shorter.
"""

import argparse

from darts_tools.alpha_course import AlphaCourse
from darts_tools.alphas import Alphas, carry_alphas
from darts_tools.derivation import count_skips, warn_if_collapsed
from darts_tools.limit_skips import limit_skips
from darts_tools.search_stage import SearchStage, search_epoch, start_stage
from darts_tools.stage_options import make_stage_parser, stage_alpha_options, stage_plans
from darts_tools.staged_result import write_staged_result
from darts_tools.stages import drop_primitives, final_genotype
from generalNAS_tools.networks.supernet import Supernet, inherit_weights
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.search_space.edge_masks import Masks, full_masks


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_stage_parser(
        __doc__,
        save_dir="results/cwp_search",
        epochs=[25, 15, 15],
        frozen_epochs=[15, 3, 3],
        dropout_rates=[0.1],
    )
    return parser.parse_args()


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    plans = stage_plans(args)
    alpha_options = stage_alpha_options(args)
    setup = set_up(args, "cwp_darts")
    run, course = setup.run, AlphaCourse()
    run.clock.total_epochs = sum(plan.epochs for plan in plans)
    masks = Masks.from_lists(run.cursor["masks"]) if "masks" in run.cursor else full_masks()
    stage: SearchStage | None = None

    for number in range(run.cursor.get("stage", 0), len(plans)):
        plan = plans[number]
        supernet, alphas = Supernet(masks, setup.network), Alphas(masks)
        if stage is not None:
            inherit_weights(supernet, stage.supernet)
            alphas = carry_alphas(stage.alphas, masks)
        stage = start_stage(
            supernet, alphas, setup, args=args, epochs=plan.epochs, alpha_options=alpha_options
        )
        run.track(**stage.stateful(), course=course)
        for epoch in run.epochs(plan.epochs):
            supernet.set_skip_dropout(plan.skip_dropout(epoch))
            row = search_epoch(stage, setup, args, epoch=epoch, frozen=epoch < plan.frozen_epochs)
            course.append(alphas)
            weights = alphas.edge_weights()
            skips = count_skips(final_genotype(masks, weights))
            run.end_epoch({"stage": number + 1, **row, "normal_skips": skips})

        weights = alphas.edge_weights()
        warn_if_collapsed(final_genotype(masks, weights))
        if number + 1 < len(plans):
            masks = drop_primitives(masks, weights, kept_cnn=plan.kept_cnn, kept_rnn=plan.kept_rnn)
            run.enter(stage=number + 1, epoch=0, masks=masks.to_lists())

    write_staged_result(limit_skips(masks, weights), args.max_skip_connects, run=run, course=course)


if __name__ == "__main__":
    run_command(main)
