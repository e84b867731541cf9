"""Tests a trained final network: loss, predictions, AUROC and AUPRC.

python generalNAS_tools/test_finalArchitecture.py --model=...
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path[0] = str(Path(__file__).resolve().parents[1])

from generalNAS_tools.data.deepsea_data import open_split
from generalNAS_tools.files.model_files import load_final_model
from generalNAS_tools.runs.command import pick_device, run_command
from generalNAS_tools.runs.flags import flag, parse_options
from generalNAS_tools.runs.options import LoopOptions, StrandOptions, TrainingOptions
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.runs.run_log import open_log
from generalNAS_tools.runs.slow_amp import warn_of_slow_amp
from generalNAS_tools.training.prediction_report import check_fit, check_strands, write_test_report
from generalNAS_tools.training.train_loop import predict


@dataclass(frozen=True, kw_only=True)
class TrainedModelOptions:
    """What is tested."""

    title: ClassVar = None
    model: str = flag(str, ..., "the model (.pth) to test")


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    """The flags of this script."""

    strands: StrandOptions
    trained: TrainedModelOptions


def main() -> None:
    """Predicts the whole test set and writes the report."""
    options = parse_options(Options, __doc__, save_dir="results/test")
    data, average_strands = options.data, options.strands.average_reverse_complement
    model = load_final_model(options.trained.model)
    device = pick_device(options.run.device)
    split = open_split(data.test_directory, "test", cache_dir=data.cache_dir)
    check_fit(model, split, data.seq_size)
    if average_strands:
        check_strands(split)
    files = RunFiles(options.run.save_dir, save=options.run.save, method="test")
    open_log(files.path("log", "txt"))
    network = model.network.to(device)
    split.to_device(device)
    loop = LoopOptions.of(data, options.run, device)
    warn_of_slow_amp(loop)
    predictions, loss = predict(network, network, split=split, options=loop)
    write_test_report(files, split, predictions, loss=loss, average_strands=average_strands)


if __name__ == "__main__":
    run_command(main)
