"""Flags of genomeBONAS, checked against each other."""

import argparse

from BO_tools.acquisition import ACQUISITIONS
from BO_tools.proposals import SAMPLERS
from generalNAS_tools.runs.options import (
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
    real,
    whole,
)
from predictors.graph_predictors import ENCODERS
from predictors.losses import LOSSES
from predictors.predictor_training import PredictorSettings


def make_search_parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of the search, with its defaults."""
    parser = make_parser(description)
    add_data_options(parser, batch_use="sequences a step of scoring")
    add_network_options(parser)
    add_weight_options(parser, epochs=60)
    add_run_options(parser, save_dir="results/bonas_search")
    _add_round_options(parser)
    _add_surrogate_options(parser)
    return parser


def check_search_options(args: argparse.Namespace) -> None:
    """Checks flags against each other, and fills in --init_num.

    Raises:
        ValueError: naming the flag.
    """
    if args.init_num is None:
        args.init_num = args.bo_sample_num
    if args.train_supernet_epochs > args.epochs:
        raise ValueError(
            f"--train_supernet_epochs {args.train_supernet_epochs}: expected 0..{args.epochs} "
            "(--epochs)"
        )
    if args.bo_sample_num > args.generate_num:
        raise ValueError(
            f"--bo_sample_num {args.bo_sample_num}: expected 1..{args.generate_num} "
            "(--generate_num)"
        )


def predictor_settings(args: argparse.Namespace) -> PredictorSettings:
    """The predictor that the flags ask for."""
    return PredictorSettings(
        args.predictor, epochs=args.gcn_epochs, lr=args.gcn_lr, loss_num=args.loss_num
    )


def _add_round_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("rounds").add_argument
    add("--iterations", type=whole(0), default=2, help="rounds after the initial design")
    add("--init_num", type=whole(0), default=None,
        help="random ones to start with (default: --bo_sample_num); 0 needs --archive")  # fmt: skip
    add("--bo_sample_num", type=whole(1), default=60, help="architectures trained in a round")
    add("--train_supernet_epochs", type=whole(0), default=15,
        help="first --epochs of a round, which train all its operations at once")  # fmt: skip
    add("--super_batch_size", type=whole(2), default=64, help="sequences a step of these epochs")
    add("--sub_batch_size", type=whole(2), default=128,
        help="sequences a step of the other epochs, one drawn subnet each")  # fmt: skip
    add("--recalibration_steps", type=whole(1), default=50,
        help="training batches for the BatchNorm statistics of a scored subnet")  # fmt: skip
    add("--archive", default=None,
        help="archive-*.jsonl of an earlier run, whose scores this one starts with")  # fmt: skip


def _add_surrogate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("surrogate").add_argument
    add("--predictor", choices=ENCODERS, default="gcn", help="its network")
    add("--gcn_epochs", type=whole(1), default=100, help="epochs of the predictor, of any kind")
    add("--gcn_lr", type=real(0.0), default=1e-3, help="learning rate of its Adam")
    add("--loss_num", type=int, choices=range(len(LOSSES)), default=3,
        help="squared errors, weighted by score: 0 not, 1 log, 2 linear, 3 exp")  # fmt: skip
    add("--sample_method", choices=SAMPLERS, default="ea", help="what proposes candidates")
    add("--generate_num", type=whole(1), default=1000, help="candidates proposed in a round")
    add("--acquisition", choices=ACQUISITIONS, default="ucb",
        help="what ranks them: upper confidence bound or expected improvement")  # fmt: skip
