"""Trains a found architecture from scratch and keeps its best weights by validation loss.

python generalNAS_tools/train_finalArchitecture.py --genotype_file=... --model_path=...
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path[0] = str(Path(__file__).resolve().parents[1])

from generalNAS_tools.data.target_names import target_names
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.files.model_files import describe
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, rate_below_one
from generalNAS_tools.runs.options import ModelOptions, TrainingOptions
from generalNAS_tools.training.final_training import train_final_network
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer


@dataclass(frozen=True, kw_only=True)
class GenotypeOptions:
    """What is trained."""

    title: ClassVar = None
    genotype_file: str = flag(str, ..., "the genotype to train (.npy, or its JSON as text)")
    drop_path_prob: float = flag(rate_below_one, 0.2, "rate of drop path")


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    """The flags of this script."""

    model: ModelOptions
    genotype: GenotypeOptions


def main() -> None:
    """Trains, validates after each epoch, saves the best model."""
    options = parse_options(Options, __doc__, save_dir="results/final", patience=5)
    genotype = read_genotype(options.genotype.genotype_file)
    extra = {"genotype of --genotype_file": genotype.to_json()}
    setup = set_up(options, "final", extra=extra)
    network = FinalNetwork(genotype, setup.network, drop_path=options.genotype.drop_path_prob)
    network.to(setup.device)
    optimizer = weight_optimizer(network, options.weights)
    epochs = options.length.epochs
    train_final_network(
        network,
        network,
        optimizer,
        schedule=cosine_schedule(optimizer, options.weights, epochs=epochs),
        setup=setup,
        epochs=epochs,
        options=options.model,
        description=describe(genotype, setup.network)
        | target_names(setup.splits.train.path, setup.network.num_targets),
    )


if __name__ == "__main__":
    run_command(main)
