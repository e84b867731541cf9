"""What the tests of runs and loops share: a run directory, a data set in memory, a network."""

import contextlib
import logging
from pathlib import Path

import torch
from torch import nn

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.loop_options import LoopOptions
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


class DNASplit(MemorySplit):
    """Random one-hot DNA of 9 bp in memory, (N, 4, 9); label 0 or 1."""

    seq_size = 9
    path = Path("dna.mat")

    def __init__(self, num_sequences, *, doubled=False):
        super().__init__(num_sequences)
        bases = torch.randint(4, (num_sequences, 9), generator=torch.Generator().manual_seed(1))
        self.x = torch.nn.functional.one_hot(bases, 4).mT.float().contiguous()
        self.labels = torch.arange(num_sequences)[:, None] % 2
        if doubled:
            half = num_sequences // 2
            self.x[half:] = self.x[:half].flip(1, 2)
            self.labels[half:] = self.labels[:half]

    def batch(self, indices, device):
        self.asked.append(indices.tolist())
        return Batch(self.x[indices], self.labels[indices].float())

    def all_labels(self):
        return self.labels.bool().numpy()

    def to_device(self, device):
        return False


class Network(nn.Module):
    """Logit = weight · feature; notes its mode."""

    def __init__(self, weight=0.01):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]]))
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        return NetworkOutput(x @ self.weight, None)


def loop_options(batch_size, num_steps, *, seed=0, report_freq=1000, **others):
    return LoopOptions(batch_size, num_steps, seed, CPU, report_freq=report_freq, **others)
