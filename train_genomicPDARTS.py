"""genomeP-DARTS: differentiable search in stages that drop the weakest primitives.

Every stage trains a fresh supernet and fresh alphas, then keeps the strongest primitives on every
edge. Dropout on skip connections fades within a stage, and the result may hold only
--max_skip_connects of them in its normal cell (Chen et al., P-DARTS, ICCV 2019).
"""

from darts_tools.alpha_history import AlphaHistory
from darts_tools.alphas import Alphas
from darts_tools.derivation import count_skips, warn_if_collapsed
from darts_tools.limit_skips import limit_skips
from darts_tools.search_stage import search_epoch, start_stage
from darts_tools.stage_options import StagedOptions, staged_rule
from darts_tools.staged_result import write_staged_result
from darts_tools.stages import drop_primitives, final_genotype
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.search_space.edge_masks import Masks, full_masks


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(StagedOptions, __doc__, save_dir="results/pdarts_search")
    plans, rule = options.stages.plans(), staged_rule(options.weights)
    setup = set_up(options, "pdarts", supernet=options.supernet)
    run, masks, history = setup.run, full_masks(), AlphaHistory()
    run.clock.total_epochs = sum(plan.epochs for plan in plans)

    for number, plan in run.through("stage", plans):
        masks = Masks.from_lists(run.remember("masks", masks.to_lists))
        supernet, alphas = Supernet(masks, setup.network), Alphas(masks)
        stage = start_stage(supernet, alphas, setup, options=options, epochs=plan.epochs, rule=rule)
        run.track(**stage.stateful(), alpha_history=history)
        for epoch in run.epochs(plan.epochs):
            supernet.set_skip_dropout(plan.skip_dropout(epoch))
            row = search_epoch(stage, setup, epoch=epoch, frozen=epoch < plan.frozen_epochs)
            history.append(alphas)
            weights = alphas.edge_weights()
            skips = count_skips(final_genotype(masks, weights))
            run.end_epoch({"stage": number + 1, **row, "normal_skips": skips})

        weights = alphas.edge_weights()
        warn_if_collapsed(final_genotype(masks, weights))
        if number + 1 < len(plans):
            masks = drop_primitives(masks, weights, kept_cnn=plan.kept_cnn, kept_rnn=plan.kept_rnn)

    chain = limit_skips(masks, weights)
    write_staged_result(chain, options.stages.max_skip_connects, run=run, history=history)


if __name__ == "__main__":
    run_command(main)
