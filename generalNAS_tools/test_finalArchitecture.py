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
from generalNAS_tools.runs.arithmetic import set_arithmetic
from generalNAS_tools.runs.command import pick_device, run_command, seed_everything
from generalNAS_tools.runs.flags import as_config, flag, parse_options
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import StrandOptions, TrainingOptions
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.runs.run_log import open_log
from generalNAS_tools.training.prediction_report import (
    check_fit,
    predict_test_set,
    write_test_report,
)


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
    data = options.data
    model = load_final_model(options.trained.model)
    device = pick_device(options.run.device)
    seed_everything(options.run.seed)
    split = open_split(data.test_directory, "test", cache_dir=data.cache_dir)
    check_fit(model, split, data.seq_size)
    files = RunFiles(options.run.save_dir, save=options.run.save, method="test")
    open_log(files.path("log", "txt"))
    set_arithmetic(options.run, device)
    network = model.network.to(device)
    loop = LoopOptions.of(data, options.run, device)
    predictions = predict_test_set(
        network,
        network,
        split=split,
        options=loop,
        average_strands=options.strands.average_reverse_complement,
    )
    predictions = predictions._replace(targets=predictions.targets or model.targets)
    config = {**as_config(options), "data of --test_directory": split.fingerprint}
    write_test_report(files, predictions, config)


if __name__ == "__main__":
    run_command(main)
