"""Command-line flags: each one is defined here once, with its default and a sentence."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import NoReturn

from generalNAS_tools.files.progress import STDERR
from generalNAS_tools.networks.frame import NetworkOptions


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Prints the one line, without the usage, and leaves."""
        STDERR.write(f"{self.prog}: error: {' '.join(message.split())}\n")
        sys.exit(2)


def make_parser(description: str | None) -> OneLineParser:
    """A parser that shows defaults and takes flags only by their whole name."""
    return OneLineParser(
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def boolean(text: str) -> bool:
    """Reads True or False (also 1/0, yes/no), in any case."""
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return values[text.lower()]


def add_boolean(
    group: argparse._ActionsContainer,
    flag: str,
    *,
    default: bool,
    help: str,  # noqa: A002
) -> None:
    """Adds `--flag`, `--flag=True`, `--flag=False` and `--no-flag`."""
    group.add_argument(
        f"--{flag}", type=boolean, nargs="?", const=True, default=default, metavar="BOOL", help=help
    )
    group.add_argument(
        f"--no-{flag}",
        dest=flag,
        action="store_false",
        default=argparse.SUPPRESS,
        help=f"same as --{flag}=False",
    )


def whole(minimum: int, maximum: int = 2**63 - 1) -> Callable[[str], int]:
    """A converter for whole numbers from `minimum` to `maximum`."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            limit = f" and ≤ {maximum}" if value > maximum else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number ≥ {minimum}{limit}")
        return value

    return convert


def real(minimum: float, maximum: float = math.inf) -> Callable[[str], float]:
    """A converter for finite numbers from `minimum` to `maximum`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and minimum <= value <= maximum):
            limit = f" and ≤ {maximum}" if maximum < math.inf else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a number ≥ {minimum}{limit}")
        return value

    return convert


RATE = real(0.0, 1.0)


def add_data_options(
    parser: argparse.ArgumentParser, *, batch_use: str = "sequences a step"
) -> None:
    """Where the data are and how a batch is taken; `batch_use` explains --batch_size."""
    group = parser.add_argument_group("data")
    add = group.add_argument
    for split in ("train", "valid", "test"):
        add(
            f"--{split}_directory",
            default=f"data/deepsea_train/{split}.mat",
            help=f"{split}.mat of the bundle",
        )
    add("--cache_dir", default=None, help="folder for packed caches (default: beside each .mat)")
    add("--seq_size", type=whole(1), default=None, help="sequence length in bp; checked")
    add("--batch_size", type=whole(2), default=64, help=batch_use)
    add("--num_steps", type=whole(1), default=2000, help="steps an epoch, at most the whole set")
    add("--task", choices=["TF_bindings"], default="TF_bindings", help="what is predicted")


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """The frame of a searched network."""
    group = parser.add_argument_group("network")
    add = group.add_argument
    add("--init_channels", type=whole(2), default=8, help="channels of the first cell")
    add("--layers", type=whole(1), default=6, help="number of cells")
    add("--dropoutx", type=real(0.0, 0.99), default=0.1, help="dropout of the RHN's input")
    add("--dropouth", type=real(0.0, 0.99), default=0.05, help="dropout of the RHN's hidden state")


def add_weight_options(parser: argparse.ArgumentParser, *, epochs: int | None = 50) -> None:
    """How the weights are trained; `epochs` is the default, None leaves the flag out."""
    group = parser.add_argument_group("weights")
    add = group.add_argument
    if epochs is not None:
        add("--epochs", type=whole(1), default=epochs, help="epochs to train")
    add("--cnn_lr", type=real(0.0), default=0.025, help="learning rate of all but the RHN")
    add("--rhn_lr", type=real(0.0), default=8.0, help="learning rate of the RHN")
    add("--learning_rate_min", type=real(0.0), default=1e-3, help="where the cosine ends")
    add("--cnn_weight_decay", type=real(0.0), default=3e-4, help="weight decay of all but the RHN")
    add("--rhn_weight_decay", type=real(0.0), default=5e-7, help="weight decay of the RHN")
    add("--momentum", type=real(0.0, 1.0), default=0.9, help="momentum of all but the RHN")
    add("--beta", type=real(0.0), default=1e-3, help="weight of the RHN's slowness penalty")
    add_boolean(group, "one_clip", default=True, help="clip all gradients together to --clip")
    add("--clip", type=real(0.0), default=0.25, help="largest total norm with --one_clip")
    add("--conv_clip", type=real(0.0), default=5.0, help="else: largest norm of CNN and head")
    add("--rhn_clip", type=real(0.0), default=0.25, help="else: largest norm of the RHN")


def add_alpha_options(
    parser: argparse.ArgumentParser, *, learning_rate: float
) -> argparse._ArgumentGroup:
    """How the alphas of a differentiable search are trained; gives the group for more."""
    group = parser.add_argument_group("alphas")
    add = group.add_argument
    add("--arch_lr", type=real(0.0), default=learning_rate, help="learning rate of their Adam")
    add("--arch_weight_decay", type=real(0.0), default=1e-3, help="their weight decay")
    return group


def add_run_options(parser: argparse.ArgumentParser, *, save_dir: str) -> None:
    """Where results go, seeds, resuming and reports."""
    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--save_dir", default=save_dir, help="folder for everything the run writes")
    add("--save", default="run", help="the run's name within --save_dir")
    add("--seed", type=whole(0), default=0, help="seed of everything random")
    add_boolean(group, "restart", default=False, help="start over where a run was interrupted")
    add("--device", default="auto", help="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one")
    add_boolean(group, "amp", default=False, help="bfloat16 matrix work")
    add("--report_freq", type=whole(1), default=1000, help="steps between progress lines")
    add_boolean(group, "validation", default=True, help="validate during training")
    add("--report_validation", type=whole(1), default=1, help="epochs between validations")


def add_final_options(parser: argparse.ArgumentParser) -> None:
    """The model file of a network trained to the end, and early stopping."""
    group = parser.add_argument_group("model")
    add = group.add_argument
    add("--model_path", default=None, help="the model file (default: in --save_dir)")
    add("--patience", type=whole(0), default=0,
        help="epochs without a better validation loss to stop after; 0: off")  # fmt: skip


def add_test_options(parser: argparse.ArgumentParser) -> None:
    """How the test set is predicted."""
    add_boolean(
        parser.add_argument_group("test"),
        "average_reverse_complement",
        default=False,
        help="average each sequence with its reverse complement in the second half of the set",
    )


def network_options(args: argparse.Namespace, *, seq_size: int, num_targets: int) -> NetworkOptions:
    """The network's frame by the flags and the data."""
    return NetworkOptions(
        seq_size, num_targets, args.init_channels, args.layers, args.dropoutx, args.dropouth
    )
