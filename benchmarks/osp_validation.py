"""What OSP-NAS pays for one candidate removal: its validation against the supernet's.

python -m benchmarks.osp_validation prints the ratio of the medians and writes it as JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.bench import options_of
from generalNAS_tools.atomic_files import atomic_write
from generalNAS_tools.command import pick_device
from generalNAS_tools.deepsea_data import PackedSplit, open_split
from generalNAS_tools.edge_masks import Masks
from generalNAS_tools.mixing import mask_mixing
from generalNAS_tools.options import add_network_options, add_weight_options, make_parser, whole
from generalNAS_tools.supernet import Supernet
from generalNAS_tools.train_loop import evaluate
from generalNAS_tools.train_step import LoopOptions
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    initial_masks,
)
from tests.toy_bundle import write_toy_bundle

TARGET = 1.1


def parse_options() -> argparse.Namespace:
    """The flags of the benchmark."""
    parser = make_parser(__doc__)
    add_network_options(parser)
    add_weight_options(parser)
    add = parser.add_argument
    add("--seq_size", type=whole(1), default=1000, help="sequence length in bp")
    add("--num_targets", type=whole(1), default=919, help="number of targets")
    add("--batch_size", type=whole(2), default=16, help="sequences a step")
    add("--num_init_archs", type=whole(8, 112), default=108, help="operations per mask")
    add("--num_ops", type=whole(2), default=7, help="candidates")
    add("--repeats", type=whole(1), default=3, help="timed validations of each candidate")
    add("--threads", type=whole(1), default=torch.get_num_threads(), help="CPU threads")
    add("--device", default="auto", help="cpu or cuda")
    add("--output", default="bench_osp.json", help="where the figures go")
    return parser.parse_args()


def main() -> None:
    """Measures validations of supernet and candidates in turn."""
    args = parse_options()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = pick_device(args.device)
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
    results = {name: round(value, 4) for name, value in medians.items()}
    results |= {"ratio (candidate / supernet)": ratio, "largest allowed": TARGET}
    report = {"settings": {**vars(args), "torch": torch.__version__}, "results": results}
    with atomic_write(args.output) as file:
        file.write(json.dumps(report, indent=1).encode())
    for name, value in results.items():
        sys.stdout.write(f"{name:30} {value}\n")


def validation(
    supernet: Supernet, split: PackedSplit, args: argparse.Namespace, device: torch.device
) -> Callable[[Masks], float]:
    """A function that validates what masks leave of the supernet and gives the seconds."""
    options = LoopOptions(args.batch_size, split.num_sequences, 0, device)

    def validate(masks: Masks) -> float:
        start = time.perf_counter()
        mixing = mask_mixing(masks, device)
        evaluate(supernet, lambda x: supernet(x, mixing), split=split, run=None, options=options)
        return time.perf_counter() - start

    return validate


if __name__ == "__main__":
    main()
