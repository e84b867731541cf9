"""Flags of the searches in stages (P-DARTS, CWP, DEP), checked against each other."""

import argparse
import math
from typing import NamedTuple

from darts_tools.discard_edges import check_kept_edges
from darts_tools.limit_skips import MAX_SKIPS
from darts_tools.search_stage import AlphaOptions
from darts_tools.stages import check_frozen_epochs, check_kept_primitives, per_stage
from generalNAS_tools.runs.options import (
    RATE,
    add_alpha_options,
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    make_parser,
    whole,
)
from generalNAS_tools.search_space.genotypes import (
    CNN_PRIMITIVES,
    EDGES_PER_CNN_NODE,
    RHN_PRIMITIVES,
)

ADAM_BETAS = (0.5, 0.999)
SKIP_DROPOUT_DECAY = 0.2
"""Rate per epoch at which skip-connect dropout fades once the alphas are trained."""


class StagePlan(NamedTuple):
    """What the flags ask of one stage.

    Attributes:
        epochs: its length.
        frozen_epochs: first epochs, in which the alphas stay.
        dropout_rate: of the skip connections, at its start.
        kept_cnn: primitives that survive it on every CNN edge.
        kept_rnn: primitives that survive it on every RHN edge.
    """

    epochs: int
    frozen_epochs: int
    dropout_rate: float
    kept_cnn: int
    kept_rnn: int

    def skip_dropout(self, epoch: int) -> float:
        """Rate of the skip connections' dropout in one epoch (P-DARTS, section 3.3).

        It falls linearly while the alphas are frozen, then exponentially from its start again.
        """
        if epoch < self.frozen_epochs:
            return self.dropout_rate * (self.epochs - epoch - 1) / self.epochs
        return self.dropout_rate * math.exp(-SKIP_DROPOUT_DECAY * (epoch - self.frozen_epochs))


def make_stage_parser(
    description: str | None,
    *,
    save_dir: str,
    epochs: list[int],
    frozen_epochs: list[int],
    dropout_rates: list[float],
) -> argparse.ArgumentParser:
    """The parser of a search in stages, with its defaults; lists take one value or one a stage."""
    parser = make_parser(description)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser, epochs=None)
    add_run_options(parser, save_dir=save_dir)
    add_alpha_options(parser, learning_rate=6e-4)
    add = parser.add_argument_group("stages (one value, or one per stage)").add_argument
    add("--epochs", type=whole(1), nargs="+", default=epochs, help="epochs")
    add("--frozen_epochs", type=whole(0), nargs="+", default=frozen_epochs,
        help="first epochs without alpha steps")  # fmt: skip
    add("--dropout_rate", type=RATE, nargs="+", default=dropout_rates, help="skip dropout")
    add("--num_keep_cnn", type=whole(1), nargs="+", default=[6, 3, 1],
        help="primitives kept on every CNN edge after each stage")  # fmt: skip
    add("--num_keep_rnn", type=whole(1), nargs="+", default=[3, 2, 1],
        help="primitives kept on every RHN edge after each stage")  # fmt: skip
    add("--max_skip_connects", type=whole(0, MAX_SKIPS), default=2,
        help="skip connections allowed in the normal cell")  # fmt: skip
    return parser


def add_edge_options(parser: argparse.ArgumentParser) -> None:
    """How many edges DEP-DARTS keeps after each stage but the last."""
    add = parser.add_argument_group("edges (one value, or one per stage but the last)").add_argument
    add("--num_keep_cnn_edges", type=whole(1), nargs="+", default=[4, 3], help="per CNN node")
    add("--num_keep_rnn_edges", type=whole(1), nargs="+", default=[5, 3], help="per RHN node")


def stage_plans(args: argparse.Namespace) -> list[StagePlan]:
    """One plan per stage.

    Raises:
        ValueError: the flags don't fit each other; names the flag.
    """
    check_kept_primitives(args.num_keep_cnn, len(CNN_PRIMITIVES), "--num_keep_cnn")
    check_kept_primitives(args.num_keep_rnn, len(RHN_PRIMITIVES), "--num_keep_rnn")
    count = len(args.num_keep_cnn)
    if len(args.num_keep_rnn) != count:
        raise ValueError(
            f"--num_keep_rnn has {len(args.num_keep_rnn)} values; expected {count}, "
            "as --num_keep_cnn"
        )
    epochs = per_stage(args.epochs, count, "--epochs")
    frozen = per_stage(args.frozen_epochs, count, "--frozen_epochs")
    check_frozen_epochs(epochs, frozen, "--frozen_epochs")
    rates = per_stage(args.dropout_rate, count, "--dropout_rate")
    columns = (epochs, frozen, rates, args.num_keep_cnn, args.num_keep_rnn)
    return [StagePlan(*values) for values in zip(*columns, strict=True)]


def stage_alpha_options(args: argparse.Namespace) -> AlphaOptions:
    """How the alphas of a search in stages are stepped (Chen et al., P-DARTS, ICCV 2019)."""
    return AlphaOptions(betas=ADAM_BETAS, clip=args.clip)


def kept_edges(args: argparse.Namespace) -> list[tuple[int, int]]:
    """Edges that DEP-DARTS keeps per CNN and RHN node after each stage but the last.

    Raises:
        ValueError: too few, rising, or not one number for each of these stages.
    """
    count = len(args.num_keep_cnn) - 1
    if not count:
        return []
    each = "stage but the last"
    cnn = per_stage(args.num_keep_cnn_edges, count, "--num_keep_cnn_edges", each=each)
    rnn = per_stage(args.num_keep_rnn_edges, count, "--num_keep_rnn_edges", each=each)
    check_kept_edges(cnn, EDGES_PER_CNN_NODE, "--num_keep_cnn_edges")
    check_kept_edges(rnn, 1, "--num_keep_rnn_edges")
    return list(zip(cnn, rnn, strict=True))
