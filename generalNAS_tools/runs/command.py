"""What every script does first and last: set up, and leave with the right exit code."""

import argparse
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from generalNAS_tools.data.deepsea_data import Splits, load_splits
from generalNAS_tools.files.progress import STDERR, keep_descriptors
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.options import network_options
from generalNAS_tools.runs.run_directory import RunDirectory, Stopped
from generalNAS_tools.training.train_step import LoopOptions

BAD_INPUT = 2
SIGNAL_EXIT = 128


class Setup(NamedTuple):
    """What a training script works with.

    Attributes:
        splits: train, valid and test sets.
        run: the run's directory, resumed if it was interrupted.
        loop: options of every epoch.
        network: the frame of the networks.
        device: where they live.
    """

    splits: Splits
    run: RunDirectory
    loop: LoopOptions
    network: NetworkOptions
    device: torch.device


def set_up(
    args: argparse.Namespace,
    method: str,
    *,
    extra: Mapping[str, Any] | None = None,
    searched: bool = True,
) -> Setup:
    """Opens data and run directory, seeds torch, picks the device.

    Args:
        args: every flag.
        method: first part of the genotype's file name.
        extra: more configuration that must stay the same when the run is resumed.
        searched: whether the flags have the options of searched networks (frame, clipping).

    Raises:
        ValueError: for whatever is wrong with a flag, a file or the folder.
    """
    device = pick_device(args.device)
    splits = open_splits(args)
    data = {
        f"data of --{name}_directory": split.fingerprint for name, split in splits._asdict().items()
    }
    run = RunDirectory(
        args.save_dir,
        save=args.save,
        method=method,
        config={**vars(args), **data, **(extra or {})},
        restart=args.restart,
    )
    seed_everything(args.seed)
    for split in splits:
        split.to_device(device)
    size = {"seq_size": splits.train.seq_size, "num_targets": splits.train.num_targets}
    if not searched:
        return Setup(splits, run, LoopOptions.of(args, device), NetworkOptions(**size), device)
    loop = LoopOptions.of_searched(args, device)
    return Setup(splits, run, loop, network_options(args, **size), device)


def open_splits(args: argparse.Namespace) -> Splits:
    """The three sets that the flags name."""
    return load_splits(
        args.train_directory,
        args.valid_directory,
        args.test_directory,
        cache_dir=args.cache_dir,
        seq_size=args.seq_size,
    )


def pick_device(name: str) -> torch.device:
    """The device of a `--device` value.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in {"cpu", "cuda"}:
        raise ValueError(f"--device {name}: expected cpu, cuda, cuda:1 ... or auto")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: not usable on this machine ({reason})") from error
    return device


def seed_everything(seed: int) -> None:
    """Seeds torch, on every device, and asks it for repeatable kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def run_command(main: Callable[[], None]) -> None:
    """Runs a script: bad input is one line and exit code 2, a signal 128 and its number."""
    keep_descriptors()
    # A run resumed between its last step and its epoch's end moves the schedule first, rightly.
    warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
    try:
        main()
    except ValueError as error:
        STDERR.write(" ".join(str(error).split()) + "\n")
        logging.getLogger(__name__).debug("bad input", exc_info=True)
        sys.exit(BAD_INPUT)
    except Stopped as stop:
        logging.getLogger(__name__).info("%s; the same command goes on from here", stop)
        sys.exit(SIGNAL_EXIT + stop.number)
    except KeyboardInterrupt:  # before the run's directory takes the signals over
        sys.exit(SIGNAL_EXIT + signal.SIGINT)
