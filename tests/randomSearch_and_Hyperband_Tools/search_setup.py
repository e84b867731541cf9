"""A small data set and run directory for the tools of the searches that sample."""

import contextlib
import logging
from types import SimpleNamespace

import torch

from generalNAS_tools.data.deepsea_data import load_splits
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import LengthOptions, RunOptions, WeightOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from randomSearch_and_Hyperband_Tools.sampling_options import SamplingOptions
from tests.scripts.in_process import signals_kept
from tests.toy_bundle import write_toy_bundle

CPU = torch.device("cpu")
OPTIONS = SimpleNamespace(
    length=LengthOptions(epochs=4),
    weights=WeightOptions(),
    run=RunOptions(),
    sampling=SamplingOptions(),
)


@contextlib.contextmanager
def open_setup(folder, *, save="a"):
    """A run in `folder`; puts signals and log back at the end."""
    handlers = list(logging.getLogger().handlers)
    bundle = write_toy_bundle(folder / "data", seq_size=24)
    splits = load_splits(bundle.train, bundle.valid, seq_size=24)
    loop = LoopOptions(batch_size=8, num_steps=2, seed=0, device=CPU)
    with signals_kept():
        run = RunDirectory(str(folder / "run"), save=save, method="test", config={}, device=CPU)
        try:
            yield Setup(splits, run, loop, NetworkOptions(24, 5, init_channels=2, layers=2), CPU)
        finally:
            logging.basicConfig(handlers=handlers, force=True)
