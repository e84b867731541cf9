"""A small data set and run directory for the tools of the searches that sample."""

import contextlib
import logging
import signal
from argparse import Namespace

import torch

from generalNAS_tools.data.deepsea_data import load_splits
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.training.train_step import LoopOptions
from tests.toy_bundle import write_toy_bundle

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ARGS = Namespace(
    seed=0,
    epochs=4,
    cnn_lr=0.025,
    rhn_lr=8.0,
    momentum=0.9,
    cnn_weight_decay=3e-4,
    rhn_weight_decay=5e-7,
    learning_rate_min=1e-3,
    drop_path_prob=0.2,
    validation=True,
    report_validation=1,
    cnn_lr_decay=2e-4,
    rhn_lr_decay=0.1,
)


@contextlib.contextmanager
def open_setup(folder, *, save="a"):
    """A run in `folder`; puts signals and log back at the end."""
    handlers = list(logging.getLogger().handlers)
    before = [signal.getsignal(number) for number in SIGNALS]
    bundle = write_toy_bundle(folder / "data", seq_size=24)
    splits = load_splits(*map(str, bundle), cache_dir=None, seq_size=24)
    run = RunDirectory(str(folder / "run"), save=save, method="test", config={})
    device = torch.device("cpu")
    loop = LoopOptions(batch_size=8, num_steps=2, seed=0, device=device)
    try:
        yield Setup(splits, run, loop, NetworkOptions(24, 5, init_channels=2, layers=2), device)
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
        logging.basicConfig(handlers=handlers, force=True)
