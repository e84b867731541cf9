"""genomeDARTS: differentiable search over convolutions and a recurrent cell.

One supernet holds every operation, mixed by the softmax of the alphas. Each step first moves the
alphas on a validation batch, then the weights on a training batch; after the last epoch the
strongest operations become the genotype (Liu et al., DARTS, ICLR 2019).
"""

import argparse
import logging

from darts_tools.alpha_course import AlphaCourse
from darts_tools.alphas import Alphas
from darts_tools.derivation import derive_genotype, warn_if_collapsed
from darts_tools.search_stage import AlphaOptions, search_epoch, start_stage
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.options import (
    add_alpha_options,
    add_boolean,
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
    whole,
)
from generalNAS_tools.search_space.edge_masks import full_masks

log = logging.getLogger(__name__)


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_parser(__doc__)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser)
    add_run_options(parser, save_dir="results/darts_search")
    group = add_alpha_options(parser, learning_rate=3e-3)
    group.add_argument(
        "--frozen_epochs", type=whole(0), default=5, help="first epochs without alpha steps"
    )
    add_boolean(group, "unrolled", default=False, help="second-order alpha steps")
    return parser.parse_args()


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    setup = set_up(args, "darts")
    run = setup.run
    stage = start_stage(
        Supernet(full_masks(), setup.network),
        Alphas(full_masks()),
        setup,
        args=args,
        epochs=args.epochs,
        alpha_options=AlphaOptions(unrolled=args.unrolled),
    )
    course = AlphaCourse()
    run.clock.total_epochs = args.epochs
    run.track(**stage.stateful(), course=course)

    for epoch in run.epochs(args.epochs):
        row = search_epoch(stage, setup, args, epoch=epoch, frozen=epoch < args.frozen_epochs)
        course.append(stage.alphas)
        log.info("genotype: %s", derive_genotype(stage.alphas.edge_weights()).to_json())
        run.end_epoch(row)

    genotype = derive_genotype(stage.alphas.edge_weights())
    warn_if_collapsed(genotype)
    course.draw(run, genotype)
    run.files.write_genotype(genotype)


if __name__ == "__main__":
    run_command(main)
