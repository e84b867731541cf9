"""Tests a trained final network: loss, predictions, AUROC and AUPRC.

python generalNAS_tools/test_finalArchitecture.py --model=...
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from generalNAS_tools.data.deepsea_data import open_split
from generalNAS_tools.files.model_files import load_final_model
from generalNAS_tools.runs.command import pick_device, run_command
from generalNAS_tools.runs.options import (
    add_data_options,
    add_network_options,
    add_run_options,
    add_test_options,
    add_weight_options,
    make_parser,
)
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.runs.run_log import open_log
from generalNAS_tools.training.prediction_report import check_fit, check_strands, write_test_report
from generalNAS_tools.training.train_loop import predict
from generalNAS_tools.training.train_step import LoopOptions


def parse_options() -> argparse.Namespace:
    """The flags of this script; those of the network and its training are taken and unused."""
    parser = make_parser(__doc__)
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser)
    add_run_options(parser, save_dir="results/test")
    add_test_options(parser)
    parser.add_argument("--model", required=True, help="the model (.pth) to test")
    return parser.parse_args()


def main() -> None:
    """Predicts the whole test set and writes the report."""
    args = parse_options()
    model = load_final_model(args.model)
    device = pick_device(args.device)
    split = open_split(args.test_directory, "test", cache_dir=args.cache_dir)
    check_fit(model.options, split, args)
    if args.average_reverse_complement:
        check_strands(split)
    files = RunFiles(args.save_dir, save=args.save, method="test")
    open_log(files.path("log", "txt"))
    network = model.network.to(device)
    split.to_device(device)
    predictions, loss = predict(network, network, split=split, options=LoopOptions.of(args, device))
    write_test_report(
        files, split, predictions, loss=loss, average_strands=args.average_reverse_complement
    )


if __name__ == "__main__":
    run_command(main)
