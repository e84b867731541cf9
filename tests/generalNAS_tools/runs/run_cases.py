"""What the tests of runs and loops share: a run directory, a data set in memory, a network."""

import contextlib
import logging

import torch
from torch import nn

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.options import LoopOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from tests.scripts.in_process import signals_kept

CPU = torch.device("cpu")


@contextlib.contextmanager
def run_directory(folder, *, restart=False, **config):
    """A run directory; signals, log and lock are given back."""
    handlers = list(logging.getLogger().handlers)
    with signals_kept():
        run = RunDirectory(
            str(folder), save="a", method="test", config=config, device=CPU, restart=restart
        )
        try:
            yield run
        finally:
            logging.basicConfig(handlers=handlers, force=True)
            run.files._lock.close()


class MemorySplit:
    """Sequence i has the one feature i and the label i % 2; remembers what was asked for."""

    num_targets = 1

    def __init__(self, num_sequences):
        self.num_sequences = num_sequences
        self.asked = []

    def batch(self, indices, device):
        self.asked.append(indices.tolist())
        return Batch(indices[:, None].float(), (indices[:, None] % 2).float())


class Network(nn.Module):
    """Logit = weight · feature; notes its mode."""

    def __init__(self, weight=0.01):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]]))
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        return NetworkOutput(x @ self.weight, None)


def loop_options(batch_size, num_steps, *, seed=0, report_freq=1000):
    return LoopOptions(batch_size, num_steps, seed, CPU, report_freq=report_freq)
