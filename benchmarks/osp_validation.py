"""What OSP-NAS pays for one candidate removal: its validation against the supernet's.

python -m benchmarks.osp_validation prints the ratio of the medians and writes it as JSON.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.settings import Options, seconds_of, write_report
from generalNAS_tools.data.deepsea_data import PackedSplit, open_split
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.mixing import mask_mixing
from generalNAS_tools.training.train_loop import evaluate
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    initial_masks,
)
from tests.toy_bundle import write_toy_bundle

TARGET = 1.1
OPERATIONS, REMOVALS = 108, 7
"""Operations per mask and candidates of a round, as in the published command."""


def main() -> None:
    """Measures validations of supernet and candidates in turn."""
    options = parse_options(Options, __doc__, batch_size=16, output="bench_osp.json")
    device, size = options.set_up(), options.measuring
    rng = np.random.default_rng(0)
    masks = initial_masks(rng, OPERATIONS)
    candidates = candidate_masks(masks, [draw_removals(mask, REMOVALS, rng) for mask in masks])
    supernet = Supernet(masks, options.frame).to(device)
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_toy_bundle(
            folder,
            num_valid=4 * size.batch_size,
            seq_size=size.seq_size,
            num_targets=size.num_targets,
        )
        validate = validation(supernet, open_split(bundle.valid, "valid"), size.batch_size, device)
        seconds: dict[str, list[float]] = {"supernet": [], "candidate": []}
        validate(masks)
        for _ in range(size.repeats):
            for candidate in candidates:
                seconds["supernet"].append(validate(masks))
                seconds["candidate"].append(validate(candidate))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = round(medians["candidate"] / medians["supernet"], 3)
    results = {name: round(value, 6) for name, value in medians.items()}
    results |= {"ratio (candidate / supernet)": ratio, "largest allowed": TARGET}
    write_report(options, results)
    for name, value in results.items():
        sys.stdout.write(f"{name:30} {value}\n")


def validation(
    supernet: Supernet, split: PackedSplit, batch_size: int, device: torch.device
) -> Callable[[Masks], float]:
    """A function that validates what masks leave of the supernet and gives the seconds."""
    options = LoopOptions(batch_size, split.num_sequences, 0, device)

    def validate(masks: Masks) -> None:
        mixing = mask_mixing(masks, device)
        evaluate(supernet, lambda x: supernet(x, mixing), split=split, run=None, options=options)

    return lambda masks: seconds_of(lambda: validate(masks), device)


if __name__ == "__main__":
    main()
