"""BatchNorm statistics of one subnet, for a while.

Weights shared by many subnets leave BatchNorm statistics that fit none of them, so a subnet is
scored with its own (BONAS, Shi et al. 2020, section 3.3; as in Guo et al., "Single Path
One-Shot", 2020).
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from generalNAS_tools.data.deepsea_data import PackedSplit, batches, epoch_indices
from generalNAS_tools.networks.cnn.edge_batches import OutgoingEdges
from generalNAS_tools.networks.rhn.cells import SearchRHN, VariationalDropout
from generalNAS_tools.training.train_step import Forward, LoopOptions

_DROPPING = (nn.Dropout, OutgoingEdges, VariationalDropout)
"""Modules that drop something at random while training."""
_NORMALISING = (nn.BatchNorm1d, SearchRHN)
"""Modules that keep running statistics."""


@contextlib.contextmanager
def recalibrated(
    network: nn.Module, forward: Forward, *, split: PackedSplit, steps: int, options: LoopOptions
) -> Iterator[None]:
    """Within the block, the statistics that `forward` uses are its own averages over batches.

    What `forward` doesn't compute keeps its statistics, no random number is drawn, and at the
    end everything is as it was, bit for bit.

    Args:
        network: holds the statistics; in evaluation mode within the block.
        forward: one-hot DNA → output of the subnet.
        split: the training set.
        steps: batches to average over, always the same ones; all if there are fewer.
        options: batch size, seed, device and precision.
    """
    training = network.training
    norms = [module for module in network.modules() if isinstance(module, _NORMALISING)]
    momenta = [norm.momentum for norm in norms]
    saved = [buffer.clone() for norm in norms for buffer in norm.buffers()]
    order = epoch_indices(split.num_sequences, seed=options.seed, epoch=0)
    parts = batches(order, options.batch_size, drop_last=True)[:steps]
    try:
        _start_averages(network)
        for number, part in enumerate(parts, start=1):
            for norm in norms:
                if norm.momentum is not None:  # all but the RHN's
                    norm.momentum = 1 / number  # so the first pass forgets what was there before
            with torch.no_grad(), options.autocast():
                forward(split.batch(part, options.device).x)
        network.eval()
        yield
    finally:
        buffers = [buffer for norm in norms for buffer in norm.buffers()]
        for buffer, value in zip(buffers, saved, strict=True):
            buffer.copy_(value)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(training)


def _start_averages(network: nn.Module) -> None:
    """Training mode, but for dropout."""
    network.train()
    for module in network.modules():
        if isinstance(module, _DROPPING):
            module.training = False  # its parts, a BatchNorm among them, still train
        if isinstance(module, SearchRHN):
            module.averaged = 0
            module.momentum = None  # it sees many states in a pass and counts them itself
