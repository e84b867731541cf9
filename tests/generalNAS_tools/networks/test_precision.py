"""What --amp leaves in float32: statistics of every BatchNorm, and the recurrence's state."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from generalNAS_tools.networks.cnn import batched_parts, edge_batches, operations
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.rhn.kernels import SavedStates
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.search_space.mixing import mask_mixing
from randomSearch_and_Hyperband_Tools.random_genotypes import random_genotype

FRAME = NetworkOptions(12, 3, init_channels=2, layers=2)
NORMS = ("native_batch_norm", "cudnn_batch_norm", "_batch_norm_with_update")


class Statistics(TorchDispatchMode):
    """Notes the types of what BatchNorms keep, and of what is normalised state by state."""

    def __init__(self):
        super().__init__()
        self.kept, self.states = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in NORMS:
            self.kept += [each.dtype for each in (*args[1:5], *result[1:3]) if each is not None]
            if args[0].dim() == 2:
                self.states += [args[0].dtype, result[0].dtype]
        return result


def supernet():
    network, mixing = Supernet(full_masks(), FRAME), mask_mixing(full_masks(), torch.device("cpu"))
    return network, lambda x: network(x, mixing)


def final():
    network = FinalNetwork(random_genotype(np.random.default_rng(0)), FRAME)
    return network, network


@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.parametrize("make", [supernet, final])
def test_amp_leaves_statistics_and_states_in_float32(make, folds, monkeypatch):
    for module in (batched_parts, edge_batches, operations):
        monkeypatch.setattr(module, "folds", lambda _: folds)
    saved, empty = [], SavedStates.empty

    def noting(inputs, *, keep):
        saved.append(empty(inputs, keep=keep))
        return saved[-1]

    monkeypatch.setattr(SavedStates, "empty", noting)
    network, forward = make()
    with Statistics() as seen:
        with torch.autocast("cpu", torch.bfloat16):
            output = forward(torch.rand(2, 4, 12))
        output.logits.float().sum().backward()
    assert saved[0].initial.dtype == torch.bfloat16, "--amp lowers the products"
    assert saved[0].states.dtype == saved[0].scales.dtype == torch.float32
    assert output.rhn_outputs.dtype == torch.float32
    assert set(seen.kept) == {torch.float32}
    assert set(seen.states) <= {torch.float32}
    assert bool(seen.states) == (make is supernet)
    for name, tensor in (*network.named_buffers(), *network.named_parameters()):
        assert not tensor.is_floating_point() or tensor.dtype == torch.float32, name
