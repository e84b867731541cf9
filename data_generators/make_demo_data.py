"""Writes a small synthetic bundle in DeepSEA's format (see data_generators/demo_bundle.py)."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_generators.demo_bundle import DemoOptions, write_demo_bundle
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import SEED, flag, parse_options, switch, whole

DEFAULT = DemoOptions()
MAX_SEQUENCES = 10_000_000
"""Twice as many as DeepSEA has."""


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """What is written, and where."""

    title: ClassVar = None
    directory: str = flag(str, "data/demo", "folder for train.mat, valid.mat, test.mat")
    num_train: int = flag(whole(1, MAX_SEQUENCES), DEFAULT.num_train, "training sequences")
    num_valid: int = flag(whole(1, MAX_SEQUENCES), DEFAULT.num_valid, "validation sequences")
    num_test: int = flag(whole(1, MAX_SEQUENCES), DEFAULT.num_test, "test sequences")
    seq_size: int = flag(whole(1, 100_000), DEFAULT.seq_size, "length of a sequence in bp")
    num_targets: int = flag(whole(1, 10_000), DEFAULT.num_targets, "labels per sequence")
    seed: int = flag(SEED, DEFAULT.seed, "the same seed writes the same data")
    shuffle_labels: bool = switch(
        DEFAULT.shuffle_labels,
        "permute the labels across sequences: a control in which nothing can be learned",
    )
    overwrite: bool = switch(False, "replace files that exist")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    bundle: BundleOptions


def main() -> None:
    """Writes the bundle."""
    bundle = parse_options(Options, __doc__).bundle
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = DemoOptions(*(getattr(bundle, field) for field in DemoOptions._fields))
    write_demo_bundle(bundle.directory, options, overwrite=bundle.overwrite)
    logging.getLogger(__name__).info("wrote a synthetic bundle into %s", bundle.directory)


if __name__ == "__main__":
    run_command(main)
