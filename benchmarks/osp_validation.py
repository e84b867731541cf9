"""What OSP-NAS pays for one candidate removal: its validation against the supernet's.

python -m benchmarks.osp_validation prints the ratio of the medians and writes it as JSON.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.settings import benchmark_parser, options_of, seconds_of, set_up, write_report
from generalNAS_tools.data.deepsea_data import PackedSplit, open_split
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.options import whole
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.mixing import mask_mixing
from generalNAS_tools.training.train_loop import evaluate
from generalNAS_tools.training.train_step import LoopOptions
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    initial_masks,
)
from tests.toy_bundle import write_toy_bundle

TARGET = 1.1


def parse_options() -> argparse.Namespace:
    """The flags of the benchmark."""
    parser = benchmark_parser(
        __doc__,
        seq_size=1000,
        num_targets=919,
        batch_size=16,
        repeats="timed validations of each candidate",
        output="bench_osp.json",
    )
    add = parser.add_argument
    add("--num_init_archs", type=whole(8, 112), default=108, help="operations per mask")
    add("--num_ops", type=whole(2), default=7, help="candidates")
    return parser.parse_args()


def main() -> None:
    """Measures validations of supernet and candidates in turn."""
    args = parse_options()
    device = set_up(args)
    rng = np.random.default_rng(0)
    masks = initial_masks(rng, args.num_init_archs)
    candidates = candidate_masks(masks, [draw_removals(mask, args.num_ops, rng) for mask in masks])
    supernet = Supernet(masks, options_of(args)).to(device)
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_toy_bundle(
            folder,
            num_valid=4 * args.batch_size,
            seq_size=args.seq_size,
            num_targets=args.num_targets,
        )
        validate = validation(supernet, open_split(bundle.valid, "valid"), args, device)
        seconds: dict[str, list[float]] = {"supernet": [], "candidate": []}
        validate(masks)
        for _ in range(args.repeats):
            for candidate in candidates:
                seconds["supernet"].append(validate(masks))
                seconds["candidate"].append(validate(candidate))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = round(medians["candidate"] / medians["supernet"], 3)
    results = {name: round(value, 6) for name, value in medians.items()}
    results |= {"ratio (candidate / supernet)": ratio, "largest allowed": TARGET}
    write_report(args, results)
    for name, value in results.items():
        sys.stdout.write(f"{name:30} {value}\n")


def validation(
    supernet: Supernet, split: PackedSplit, args: argparse.Namespace, device: torch.device
) -> Callable[[Masks], float]:
    """A function that validates what masks leave of the supernet and gives the seconds."""
    options = LoopOptions(args.batch_size, split.num_sequences, 0, device)

    def validate(masks: Masks) -> None:
        mixing = mask_mixing(masks, device)
        evaluate(supernet, lambda x: supernet(x, mixing), split=split, run=None, options=options)

    return lambda masks: seconds_of(lambda: validate(masks), device)


if __name__ == "__main__":
    main()
