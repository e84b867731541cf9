"""Trains, validates and tests one of the four published networks on the same data as the searches.

python baseline_models/train_baseline.py --model=DanQ --model_path=...
"""

import sys
from dataclasses import dataclass, replace
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
from generalNAS_tools.runs.options import (
    ADAMW_CLIP,
    AdamWOptions,
    Clipping,
    DataOptions,
    ModelOptions,
    RunOptions,
    StrandOptions,
)
from generalNAS_tools.training.final_training import train_final_network
from generalNAS_tools.training.optimizers import adamw
from generalNAS_tools.training.prediction_report import predict_test_set, write_test_report


@dataclass(frozen=True, kw_only=True)
class BaselineOptions(AdamWOptions):
    """Which network, and how it is trained."""

    title: ClassVar = None
    model: str = flag(str, ..., "which network", choices=list(BASELINES))
    epochs: int = flag(whole(1), 50, "epochs to train, at most")
    learning_rate: float | None = flag(real(0.0), None, "default: the network's own")
    optimizer: str = flag(
        str, "own", "the network's published one, or AdamW", choices=["own", "adamw"]
    )
    clip: float | None = flag(
        real(0.0), None, "largest total norm of the gradients (default: none, for adamw 1)"
    )

    @property
    def clipping(self) -> Clipping | None:
        """The clipping that the flags ask for; a baseline has no RHN to clip apart."""
        clip = ADAMW_CLIP if self.clip is None and self.optimizer == "adamw" else self.clip
        return None if clip is None else Clipping(clip, clip, clip)


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
    setup = setup._replace(loop=replace(setup.loop, clipping=baseline.clipping))
    if baseline.optimizer == "adamw":
        optimizer = adamw(network, baseline)
    else:
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
        description={"baseline": name, **size, **target_names(train.path, train.num_targets)},
    )
    predictions = predict_test_set(
        network,
        forward,
        split=test,
        options=setup.loop,
        average_strands=options.strands.average_reverse_complement,
        run=setup.run,
    )
    write_test_report(setup.run.files, predictions)


if __name__ == "__main__":
    run_command(main)
