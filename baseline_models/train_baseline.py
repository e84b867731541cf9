"""Trains, validates and tests one of the four published networks on the same data as the searches.

python baseline_models/train_baseline.py --model=DanQ --model_path=...
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from baseline_models.networks import BASELINES, baseline_optimizer, build_baseline
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.options import (
    add_data_options,
    add_final_options,
    add_run_options,
    add_test_options,
    make_parser,
    real,
    whole,
)
from generalNAS_tools.training.final_training import train_final_network
from generalNAS_tools.training.prediction_report import check_strands, write_test_report
from generalNAS_tools.training.train_loop import predict


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_parser(__doc__)
    add_data_options(parser)
    add_run_options(parser, save_dir="results/baseline")
    add_final_options(parser)
    add_test_options(parser)
    add = parser.add_argument
    add("--model", required=True, choices=list(BASELINES), help="which network")
    add("--epochs", type=whole(1), default=50, help="epochs to train, at most")
    add("--learning_rate", type=real(0.0), default=None, help="default: the network's own")
    return parser.parse_args()


def main() -> None:
    """Trains with early stopping, then tests the best weights."""
    args = parse_options()
    setup = set_up(args, args.model, searched=False)
    splits = setup.splits
    size = {"seq_size": splits.train.seq_size, "num_targets": splits.train.num_targets}
    try:
        network = build_baseline(args.model, **size).to(setup.device)
    except ValueError as error:
        raise ValueError(f"{splits.train.path}: {error}") from error
    if args.average_reverse_complement:
        check_strands(splits.test)
    optimizer = baseline_optimizer(args.model, network, learning_rate=args.learning_rate)

    def forward(x: torch.Tensor) -> NetworkOutput:
        return NetworkOutput(network(x), None)

    train_final_network(
        network,
        forward,
        optimizer,
        schedule=None,
        setup=setup,
        args=args,
        description={"baseline": args.model, **size},
    )
    predictions, loss = predict(
        network, forward, split=splits.test, options=setup.loop, run=setup.run
    )
    write_test_report(
        setup.run.files,
        splits.test,
        predictions,
        loss=loss,
        average_strands=args.average_reverse_complement,
    )


if __name__ == "__main__":
    run_command(main)
