"""Flags that random search and Hyperband share."""

import argparse

from generalNAS_tools.runs.options import (
    RATE,
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
    whole,
)


def make_sampling_parser(
    description: str | None, *, save_dir: str, epochs: int, num_samples: int
) -> argparse.ArgumentParser:
    """The parser of a search that trains sampled architectures, with its defaults."""
    parser = make_parser(description)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser, epochs=epochs)
    add_run_options(parser, save_dir=save_dir)
    add = parser.add_argument_group("candidates").add_argument
    add("--num_samples", type=whole(1), default=num_samples, help="architectures to draw")
    add("--drop_path_prob", type=RATE, default=0.2, help="rate of drop path")
    return parser
