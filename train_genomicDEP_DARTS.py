"""genomeDEP-DARTS: P-DARTS that discards weak edges too, not only weak primitives.

After every stage but the last each node keeps its strongest edges only; an edge is as strong as
its largest weight that is not `none`'s. A discarded edge costs nothing in the next stage.
"""

from darts_tools.alpha_history import AlphaHistory
from darts_tools.alphas import Alphas
from darts_tools.derivation import count_skips, warn_if_collapsed
from darts_tools.discard_edges import discard_edges
from darts_tools.limit_skips import limit_skips
from darts_tools.search_stage import search_epoch, start_stage
from darts_tools.stage_options import EdgeStagedOptions, staged_rule
from darts_tools.staged_result import write_staged_result
from darts_tools.stages import drop_primitives, final_genotype
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.search_space.edge_masks import Masks, full_masks


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(EdgeStagedOptions, __doc__, save_dir="results/dep_search")
    plans, rule = options.stages.plans(), staged_rule(options.weights)
    edges = options.edges.kept(len(plans))
    setup = set_up(options, "dep_darts", supernet=options.supernet)
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
            cnn_edges, rnn_edges = edges[number]
            masks = discard_edges(masks, weights, cnn_edges=cnn_edges, rnn_edges=rnn_edges)

    chain = limit_skips(masks, weights)
    write_staged_result(chain, options.stages.max_skip_connects, run=run, history=history)


if __name__ == "__main__":
    run_command(main)
