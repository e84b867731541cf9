"""Writes a small synthetic bundle in DeepSEA's format (see data_generators/demo_bundle.py)."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_generators.demo_bundle import DemoOptions, write_demo_bundle
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import flag, parse_options, switch


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where it is written."""

    title: ClassVar = None
    directory: str = flag(str, "data/demo", "folder for train.mat, valid.mat, test.mat")
    overwrite: bool = switch(False, "replace files that exist")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    place: PlaceOptions
    demo: DemoOptions


def main() -> None:
    """Writes the bundle."""
    options = parse_options(Options, __doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    place = options.place
    write_demo_bundle(place.directory, options.demo, overwrite=place.overwrite)
    logging.getLogger(__name__).info("wrote a synthetic bundle into %s", place.directory)


if __name__ == "__main__":
    run_command(main)
