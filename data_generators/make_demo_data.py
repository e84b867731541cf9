"""Writes a small synthetic bundle in DeepSEA's format (see data_generators/demo_bundle.py)."""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_generators.demo_bundle import DemoOptions, write_demo_bundle
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.options import add_boolean, make_parser, whole


def parse_options() -> argparse.Namespace:
    """Reads the command line."""
    parser = make_parser(__doc__)
    add, default = parser.add_argument, DemoOptions()
    add("--directory", default="data/demo", help="folder for train.mat, valid.mat, test.mat")
    add("--num_train", type=whole(1), default=default.num_train, help="training sequences")
    add("--num_valid", type=whole(1), default=default.num_valid, help="validation sequences")
    add("--num_test", type=whole(1), default=default.num_test, help="test sequences")
    add("--seq_size", type=whole(1), default=default.seq_size, help="length of a sequence in bp")
    add("--num_targets", type=whole(1), default=default.num_targets, help="labels per sequence")
    add("--seed", type=whole(0), default=default.seed, help="the same seed writes the same data")
    add_boolean(
        parser,
        "shuffle_labels",
        default=default.shuffle_labels,
        help="permute the labels across sequences: a control in which nothing can be learned",
    )
    add_boolean(parser, "overwrite", default=False, help="replace files that exist")
    return parser.parse_args()


def main() -> None:
    """Writes the bundle."""
    args = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = DemoOptions(*(getattr(args, field) for field in DemoOptions._fields))
    write_demo_bundle(args.directory, options, overwrite=args.overwrite)
    logging.getLogger(__name__).info("wrote a synthetic bundle into %s", args.directory)


if __name__ == "__main__":
    run_command(main)
