"""Trains a found architecture from scratch and keeps its best weights by validation loss.

python generalNAS_tools/train_finalArchitecture.py --genotype_file=... --model_path=...
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.files.model_files import describe
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.options import (
    RATE,
    add_data_options,
    add_final_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
)
from generalNAS_tools.training.final_training import train_final_network
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_parser(__doc__)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser)
    add_run_options(parser, save_dir="results/final")
    add_final_options(parser)
    parser.add_argument("--genotype_file", required=True, help="the genotype (.npy) to train")
    parser.add_argument("--drop_path_prob", type=RATE, default=0.2, help="rate of drop path")
    return parser.parse_args()


def main() -> None:
    """Trains, validates after each epoch, saves the best model."""
    args = parse_options()
    genotype = read_genotype(args.genotype_file)
    setup = set_up(args, "final", extra={"genotype of --genotype_file": genotype.to_json()})
    network = FinalNetwork(genotype, setup.network, drop_path=args.drop_path_prob)
    network.to(setup.device)
    optimizer = weight_optimizer(network, args)
    train_final_network(
        network,
        network,
        optimizer,
        schedule=cosine_schedule(optimizer, args),
        setup=setup,
        args=args,
        description=describe(genotype, setup.network),
    )


if __name__ == "__main__":
    run_command(main)
