"""What must not differ between the runs of one comparison."""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparison.options import Options
from benchmarks.comparison.work import Sizes
from generalNAS_tools.data.deepsea_data import check_alike, load_splits, open_split
from generalNAS_tools.runs.flags import as_config
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.workers.processes import ROOT

FRAME = tuple(field.name for field in fields(FrameOptions))
PATHS = ("train_directory", "valid_directory", "test_directory", "cache_dir")
_OUTSIDE = {"tests", "benchmarks", "data", "results", "build", "docs"}


def fixed_facts(options: Options) -> tuple[dict[str, Any], Sizes]:
    """Everything that is fixed by name, and the size of an epoch.

    The test set is opened for its fingerprint alone.

    Raises:
        ValueError: the data are missing, damaged or don't belong together.
    """
    data, chosen = options.data, options.comparison
    splits = load_splits(
        data.train_directory,
        data.valid_directory,
        cache_dir=data.cache_dir,
        seq_size=data.seq_size,
    )
    test = open_split(data.test_directory, "test", cache_dir=data.cache_dir)
    check_alike(splits.train, test)
    frame = as_config(options)
    facts = {
        "data of --train_directory": splits.train.fingerprint,
        "data of --valid_directory": splits.valid.fingerprint,
        "data of --test_directory": test.fingerprint,
        **{f"--{name}": frame[name] for name in (*FRAME, "batch_size", "num_steps")},
        "--budget": chosen.budget,
        "--budget_unit": chosen.budget_unit,
        "--search_flags": chosen.search_flags,
        "--final_flags": chosen.final_flags,
        "--baseline_flags": chosen.baseline_flags,
        "code version": code_version(ROOT),
        "torch": torch.__version__,
    }
    sequences = (splits.train.num_sequences, splits.valid.num_sequences)
    return facts, Sizes(*sequences, data.batch_size, data.num_steps)


def data_flags(options: Options) -> dict[str, Any]:
    """Flags of the data that every script takes; paths hold from every folder."""
    data = options.data
    paths = {name: getattr(data, name) for name in PATHS}
    whole = {name: str(Path(path).resolve()) for name, path in paths.items() if path}
    sizes = {"batch_size": data.batch_size, "num_steps": data.num_steps}
    return whole | sizes | ({"seq_size": data.seq_size} if data.seq_size else {})


def frame_flags(options: Options) -> dict[str, Any]:
    """Flags of the frame of searched networks."""
    return {name: getattr(options.network, name) for name in FRAME}


def code_version(root: Path) -> str:
    """Checksum of all that the scripts are made of; tests, benchmarks and pages don't count."""
    checksum = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if parts[0] not in _OUTSIDE and not any(part.startswith(".") for part in parts):
            checksum.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    return checksum.hexdigest()[:12]
