"""genomeDARTS: differentiable search over convolutions and a recurrent cell.

One supernet holds every operation, mixed by the softmax of the alphas. Each step first moves the
alphas on a validation batch, then the weights on a training batch; after the last epoch the
strongest operations become the genotype (Liu et al., DARTS, ICLR 2019).
"""

import argparse
import logging

import torch

from darts_tools.alpha_course import AlphaCourse
from darts_tools.alphas import Alphas
from darts_tools.architect import Architect, weights_forward
from darts_tools.derivation import derive_genotype, warn_if_collapsed
from generalNAS_tools.command import run_command, set_up
from generalNAS_tools.edge_masks import full_masks
from generalNAS_tools.optimizers import cosine_schedule, weight_optimizer
from generalNAS_tools.options import (
    add_boolean,
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
    real,
    whole,
)
from generalNAS_tools.supernet import Supernet
from generalNAS_tools.train_loop import evaluate, figures_row, train_epoch, validates

log = logging.getLogger(__name__)


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_parser(__doc__)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser)
    add_run_options(parser, save_dir="results/darts_search")
    group = parser.add_argument_group("alphas")
    add = group.add_argument
    add("--frozen_epochs", type=whole(0), default=5, help="first epochs without alpha steps")
    add("--arch_lr", type=real(0.0), default=3e-3, help="learning rate of the alphas' Adam")
    add("--arch_weight_decay", type=real(0.0), default=1e-3, help="weight decay of the alphas")
    add_boolean(group, "unrolled", default=False, help="second-order alpha steps")
    return parser.parse_args()


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    splits, run, loop, network, device = set_up(args, "darts")
    supernet = Supernet(full_masks(), network).to(device)
    alphas = Alphas(full_masks()).to(device)
    optimizer = weight_optimizer(supernet, args)
    schedule = cosine_schedule(optimizer, args)
    alpha_optimizer = torch.optim.Adam(
        alphas.parameters(), args.arch_lr, weight_decay=args.arch_weight_decay
    )
    architect = Architect(
        supernet,
        alphas,
        alpha_optimizer,
        weight_optimizer=optimizer,
        split=splits.valid,
        options=loop,
        unrolled=args.unrolled,
    )
    course = AlphaCourse()
    run.clock.total_epochs = args.epochs
    run.track(
        supernet=supernet,
        alphas=alphas,
        optimizer=optimizer,
        schedule=schedule,
        alpha_optimizer=alpha_optimizer,
        course=course,
    )

    forward = weights_forward(supernet, alphas)
    for epoch in run.epochs(args.epochs):
        train = train_epoch(
            supernet,
            forward,
            optimizer,
            split=splits.train,
            run=run,
            options=loop,
            before_step=architect.step if epoch >= args.frozen_epochs else None,
        )
        valid = None
        if validates(args, epoch):
            valid = evaluate(supernet, forward, split=splits.valid, run=run, options=loop)
        schedule.step()
        course.append(alphas)
        log.info("genotype: %s", derive_genotype(alphas.edge_weights()).to_json())
        run.end_epoch(figures_row(train, valid))

    genotype = derive_genotype(alphas.edge_weights())
    warn_if_collapsed(genotype)
    course.draw(run, genotype)
    run.files.write_genotype(genotype)


if __name__ == "__main__":
    run_command(main)
