"""genomeCWP-DARTS: P-DARTS that goes on with the weights and alphas of the stage before.

Every stage keeps the strongest primitives on every edge. The next one inherits the weights of
every operation that survives, its BatchNorm statistics, the RHN, stem and head, and the alphas of
the kept primitives, so its stages can be shorter.
"""

from darts_tools.alpha_history import AlphaHistory
from darts_tools.alphas import Alphas, carry_alphas
from darts_tools.derivation import count_skips, warn_if_collapsed
from darts_tools.limit_skips import limit_skips
from darts_tools.search_stage import SearchStage, search_epoch, start_stage
from darts_tools.stage_options import StagedOptions, staged_rule
from darts_tools.staged_result import write_staged_result
from darts_tools.stages import drop_primitives, final_genotype
from generalNAS_tools.networks.supernet import Supernet, inherit_weights
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.search_space.edge_masks import Masks, full_masks


def main() -> None:
    """Searches and writes the genotype."""
    lengths = {"epochs": (25, 15, 15), "frozen_epochs": (15, 3, 3), "dropout_rate": (0.1,)}
    options = parse_options(StagedOptions, __doc__, save_dir="results/cwp_search", **lengths)
    plans, rule = options.stages.plans(), staged_rule(options.weights)
    setup = set_up(options, "cwp_darts", supernet=options.supernet)
    run, masks, history = setup.run, full_masks(), AlphaHistory()
    run.clock.total_epochs = sum(plan.epochs for plan in plans)
    before: SearchStage | None = None

    for number, plan in run.through("stage", plans):
        masks = Masks.from_lists(run.remember("masks", masks.to_lists))
        supernet, alphas = Supernet(masks, setup.network), Alphas(masks)
        if before is not None:
            inherit_weights(supernet, before.supernet)
            alphas = carry_alphas(before.alphas, masks)
        stage = start_stage(supernet, alphas, setup, options=options, epochs=plan.epochs, rule=rule)
        before = stage
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
