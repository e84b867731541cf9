import numpy as np
import pytest
import torch

from data_generators.random_graphs import random_architecture
from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.search_space.edge_masks import Masks, masks_from_genotype
from generalNAS_tools.search_space.mixing import mask_mixing
from opendomain_utils.batchnorm_recalibration import recalibrated
from tests.plain_forms.network import PlainSupernet

CPU = torch.device("cpu")
OPTIONS = NetworkOptions(24, 3, 2, 3, dropoutx=0.3, dropouth=0.3)
LOOP = LoopOptions(batch_size=6, num_steps=2, seed=0, device=CPU)


class Sequences:
    """A set of random sequences, as much of it as recalibration uses."""

    num_sequences = 20

    def __init__(self, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.rand(20, 4, 24, generator=generator).to(dtype)

    def batch(self, indices, device):
        return Batch(self.x[indices].to(device), torch.zeros(len(indices), 3))


class Case:
    """A supernet of three architectures whose statistics are used, and one of them."""

    def __init__(self, dtype=torch.float64):
        rng = np.random.default_rng(3)
        masks = [masks_from_genotype(random_architecture(rng)) for _ in range(3)]
        self.active = masks[0]
        self.merged = Masks(*(a | b | c for a, b, c in zip(*masks, strict=True)))
        self.mixing = mask_mixing(self.active, CPU)
        torch.manual_seed(0)
        self.supernet = Supernet(self.merged, OPTIONS).to(dtype)
        self.supernet.set_skip_dropout(0.3)
        for norm in norms_of(self.supernet):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            norm.num_batches_tracked.fill_(7)

    def forward(self, x):
        return self.supernet(x, self.mixing, self.active)

    def recalibrated(self, split, steps=3):
        return recalibrated(self.supernet, self.forward, split=split, steps=steps, options=LOOP)


def norms_of(network):
    return [module for module in network.modules() if hasattr(module, "running_mean")]


def everything(network):
    """Weights, statistics, modes and momenta."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [(module.training, getattr(module, "momentum", 0)) for module in network.modules()]
    return state, modes


def same(one, other):
    return one[1] == other[1] and all(torch.equal(one[0][name], other[0][name]) for name in one[0])


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_as_before_bit_for_bit_even_after_an_error(training):
    case = Case()
    case.supernet.train(training)
    before, random = everything(case.supernet), torch.get_rng_state()
    with case.recalibrated(Sequences()):
        assert not same(everything(case.supernet), before)
        assert not any(module.training for module in case.supernet.modules())
    assert same(everything(case.supernet), before)
    with pytest.raises(KeyError), case.recalibrated(Sequences()):
        raise KeyError
    assert same(everything(case.supernet), before)
    assert torch.equal(torch.get_rng_state(), random)


def test_only_active_operations_get_new_statistics():
    case = Case()
    kept, changed = 0, 0
    cells = case.supernet.cells
    operations = [(cell, edge, k) for cell in cells for edge, k in np.argwhere(cell.mask) if k != 0]
    before = [[t.clone() for t in cell.operation_tensors(e, k)] for cell, e, k in operations]
    initial = everything(case.supernet)[0]
    with case.recalibrated(Sequences()):
        for (cell, edge, k), tensors in zip(operations, before, strict=True):
            now = cell.operation_tensors(edge, k)
            equal = [torch.equal(a, b) for a, b in zip(now, tensors, strict=True)]
            mask = case.active.reduce if cell.stride > 1 else case.active.normal
            pooled = len(tensors) == 2  # the BatchNorm of a pool serves all edges of a state
            if not mask[edge, k] and not pooled:
                assert all(equal)
                kept += len(equal) > 0
            elif mask[edge, k] and tensors:
                assert not any(equal[-2:])
                assert pooled or all(equal[:-2][:1])
                changed += 1
        now = case.supernet.state_dict()
        for name in ("network.rhn.running_mean", "network.stem.1.running_var"):
            assert not torch.equal(now[name], initial[name])
        for name, parameter in case.supernet.named_parameters():
            assert torch.equal(parameter, initial[name])
    assert kept > 10
    assert changed > 10


def test_what_was_there_before_is_forgotten():
    found = []
    for scale in (1, 1000):
        case = Case(torch.float32)
        for norm in norms_of(case.supernet):
            norm.running_mean.mul_(scale)
            norm.running_var.mul_(scale)
        with case.recalibrated(Sequences(dtype=torch.float32)), torch.no_grad():
            found.append(case.forward(Sequences(1, torch.float32).x).logits)
    assert torch.equal(*found)


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_it_agrees_with_plain_cumulative_averages(steps):
    """The plain network computes all operations, with BatchNorm as torch averages it."""
    case, split = Case(), Sequences()
    plain = PlainSupernet(case.merged, OPTIONS).double().load_from(case.supernet).eval()
    for norm in norms_of(plain):
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    order = torch.from_numpy(np.random.default_rng((0, 0)).permutation(20))
    with torch.no_grad():
        for indices in order[:18].split(6)[:steps]:
            plain(split.x[indices], case.mixing)
        expected = plain.eval()(Sequences(1).x, case.mixing).logits
        stale = case.supernet.eval()(Sequences(1).x, case.mixing).logits
        with case.recalibrated(split, steps):
            found = case.forward(Sequences(1).x).logits
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)
    assert not torch.allclose(stale, expected, rtol=1e-3)
