"""Trains, validates and tests one of the four published networks on the same data as the searches.

python baseline_models/train_baseline.py --model=DanQ --model_path=...
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from baseline_models.networks import BASELINES, baseline_optimizer, build_baseline
from generalNAS_tools.data.deepsea_data import check_alike, open_split
from generalNAS_tools.data.target_names import target_names
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, real, whole
from generalNAS_tools.runs.options import DataOptions, ModelOptions, RunOptions, StrandOptions
from generalNAS_tools.training.final_training import train_final_network
from generalNAS_tools.training.prediction_report import check_strands, write_test_report
from generalNAS_tools.training.train_loop import predict


@dataclass(frozen=True, kw_only=True)
class BaselineOptions:
    """Which network, and how it is trained."""

    title: ClassVar = None
    model: str = flag(str, ..., "which network", choices=list(BASELINES))
    epochs: int = flag(whole(1), 50, "epochs to train, at most")
    learning_rate: float | None = flag(real(0.0), None, "default: the network's own")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    data: DataOptions
    run: RunOptions
    trained: ModelOptions
    strands: StrandOptions
    baseline: BaselineOptions


def main() -> None:
    """Trains with early stopping, then tests the best weights."""
    options = parse_options(Options, __doc__, save_dir="results/baseline")
    data, baseline, name = options.data, options.baseline, options.baseline.model
    average_strands = options.strands.average_reverse_complement
    test = open_split(data.test_directory, "test", cache_dir=data.cache_dir)
    extra = {"data of --test_directory": test.fingerprint}
    setup = set_up(options, name, extra=extra)
    train = setup.splits.train
    check_alike(train, test)
    size = {"seq_size": train.seq_size, "num_targets": train.num_targets}
    try:
        network = build_baseline(name, **size).to(setup.device)
    except ValueError as error:
        raise ValueError(f"{train.path}: {error}") from error
    if average_strands:
        check_strands(test)
    optimizer = baseline_optimizer(name, network, learning_rate=baseline.learning_rate)

    def forward(x: torch.Tensor) -> NetworkOutput:
        return NetworkOutput(network(x), None)

    train_final_network(
        network,
        forward,
        optimizer,
        schedule=None,
        setup=setup,
        epochs=baseline.epochs,
        options=options.trained,
        description={"baseline": name, **size, **target_names(train)},
    )
    test.to_device(setup.device)
    predictions, loss = predict(network, forward, split=test, options=setup.loop, run=setup.run)
    write_test_report(
        setup.run.files, test, predictions, loss=loss, average_strands=average_strands
    )


if __name__ == "__main__":
    run_command(main)
