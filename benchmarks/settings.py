"""What all benchmarks share: their flags, the frame of the networks, and how they report."""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch

from generalNAS_tools.files.atomic_files import atomic_write
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.command import pick_device
from generalNAS_tools.runs.options import (
    add_network_options,
    add_weight_options,
    make_parser,
    network_options,
    whole,
)


def benchmark_parser(
    description: str | None,
    *,
    seq_size: int,
    num_targets: int,
    batch_size: int,
    repeats: str,
    output: str,
) -> argparse.ArgumentParser:
    """A parser with the flags of every benchmark; `repeats` explains --repeats."""
    parser = make_parser(description)
    add_network_options(parser)
    add_weight_options(parser)
    add = parser.add_argument
    add("--seq_size", type=whole(1), default=seq_size, help="sequence length in bp")
    add("--num_targets", type=whole(1), default=num_targets, help="number of targets")
    add("--batch_size", type=whole(2), default=batch_size, help="sequences a step")
    add("--repeats", type=whole(1), default=3, help=repeats)
    add("--threads", type=whole(1), default=torch.get_num_threads(), help="CPU threads")
    add("--device", default="auto", help="cpu or cuda")
    add("--output", default=output, help="where the figures go")
    return parser


def set_up(args: argparse.Namespace) -> torch.device:
    """Sets threads and seed, picks the device."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    return pick_device(args.device)


def options_of(args: argparse.Namespace) -> NetworkOptions:
    """The frame of the measured networks."""
    return network_options(args, seq_size=args.seq_size, num_targets=args.num_targets)


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that some work takes, the device's part included."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def write_report(args: argparse.Namespace, results: Any) -> None:
    """Writes the figures and how they were obtained to --output, as JSON."""
    report = {"settings": {**vars(args), "torch": torch.__version__}, "results": results}
    with atomic_write(args.output) as file:
        file.write(json.dumps(report, indent=1).encode())
