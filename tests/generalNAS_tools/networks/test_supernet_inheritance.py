"""CWP-DARTS' handing down of weights: what survives computes what it computed before."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from darts_tools.discard_edges import discard_edges
from darts_tools.stages import drop_primitives
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.supernet import Supernet, inherit_weights
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.search_space.mixing import MixingWeights
from tests.darts_tools.stage_cases import random_weights

OPTIONS = NetworkOptions(30, 4, init_channels=2, layers=3, dropoutx=0.0, dropouth=0.0)
KEPT = ((6, 3), (3, 2))
EDGES = ((4, 5), (3, 3))


def stage_masks(seed, *, discard=False):
    """Masks of the three stages of a search with random alphas."""
    rng, masks = np.random.default_rng(seed), [full_masks()]
    for (cnn, rnn), (cnn_edges, rnn_edges) in zip(KEPT, EDGES, strict=True):
        weights = random_weights(rng, masks[-1])
        kept = drop_primitives(masks[-1], weights, kept_cnn=cnn, kept_rnn=rnn)
        if discard:
            kept = discard_edges(kept, weights, cnn_edges=cnn_edges, rnn_edges=rnn_edges)
        masks.append(kept)
    return masks


def sequences(seed, batch=4):
    generator = torch.Generator().manual_seed(seed)
    bases = torch.randint(4, (batch, OPTIONS.seq_size), generator=generator)
    return nn.functional.one_hot(bases, 4).transpose(1, 2).double()


def random_mixing(seed, masks):
    generator = torch.Generator().manual_seed(seed)
    return MixingWeights(
        *(torch.rand(m.shape, generator=generator).double() * torch.tensor(m) for m in masks)
    )


def trained_supernet(masks, seed):
    """A supernet whose weights and statistics have moved, each operation's to its own."""
    torch.manual_seed(seed)
    supernet = Supernet(masks, OPTIONS).double().train()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05)
    for step in range(2):
        output = supernet(sequences(10 + step), random_mixing(step, masks))
        optimizer.zero_grad()
        output.logits.square().mean().backward()
        optimizer.step()
    return supernet


@pytest.fixture(scope="module", params=["stage 1 to 2", "stage 2 to 3", "with discarded edges"])
def generations(request):
    """A trained supernet, and the next stage's, which inherited from it."""
    masks = stage_masks(3, discard=request.param == "with discarded edges")
    first = 1 if request.param == "stage 2 to 3" else 0
    old = trained_supernet(masks[first], seed=1)
    torch.manual_seed(2)
    new = Supernet(masks[first + 1], OPTIONS).double()
    inherit_weights(new, old)
    return old, new


def survivors(old, new):
    """Pairs of tensors of the operations that both supernets have, by cell and operation."""
    for number, (old_cell, new_cell) in enumerate(zip(old.cells, new.cells, strict=True)):
        assert not (new_cell.mask & ~old_cell.mask).any()
        for edge, primitive in np.argwhere(new_cell.mask):
            tensors = zip(
                old_cell.operation_tensors(edge, primitive),
                new_cell.operation_tensors(edge, primitive),
                strict=True,
            )
            yield (number, int(edge), int(primitive)), list(tensors)


def test_everything_that_survives_arrives_unchanged(generations):
    old, new = generations
    with_weights = 0
    for where, tensors in survivors(old, new):
        with_weights += bool(tensors)
        for before, after in tensors:
            assert torch.equal(before, after), where
            assert before.data_ptr() != after.data_ptr()
    assert with_weights > 50
    parts = ["network.stem", "network.rhn", "network.head"]
    parts += [f"network.cells.{i}.preprocess{j}" for i in range(OPTIONS.layers) for j in (0, 1)]
    for part in parts:
        before, after = (net.get_submodule(part).state_dict() for net in (old, new))
        assert before.keys() == after.keys()
        for name, value in before.items():
            assert torch.equal(value, after[name]), f"{part}.{name}"
    assert float(new.network.rhn.running_var.std()) > 0  # statistics that have moved


def test_every_tensor_of_the_next_stage_is_inherited(generations):
    """Filled with NaN first, a supernet holds none after it inherited."""
    old, _ = generations
    masks = generations[1].masks
    new = Supernet(masks, OPTIONS).double()
    with torch.no_grad():
        for tensor in [*new.parameters(), *new.buffers()]:
            if tensor.is_floating_point():
                tensor.fill_(float("nan"))
    inherit_weights(new, old)
    assert all(bool(tensor.isfinite().all()) for tensor in new.state_dict().values())


@pytest.mark.parametrize("training", [False, True])
def test_the_survivors_give_the_very_outputs_they_gave_before(generations, training):
    """The dropped operations at weight 0 in the old supernet, absent in the new one."""
    old, new = generations
    mixing, x = random_mixing(7, new.masks), sequences(8)
    outputs = []
    for supernet in (old, new):
        torch.manual_seed(0)  # of the head's dropout
        with torch.no_grad():
            outputs.append(supernet.train(training)(x, mixing))
    before, after = outputs
    torch.testing.assert_close(after.rhn_outputs, before.rhn_outputs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-12, atol=1e-12)
    assert float(before.logits.std()) > 1e-3


def test_without_inheritance_the_outputs_differ(generations):
    old, new = generations
    torch.manual_seed(2)
    fresh = Supernet(new.masks, OPTIONS).double().eval()
    mixing, x = random_mixing(7, new.masks), sequences(8)
    with torch.no_grad():
        difference = fresh(x, mixing).logits - old.eval()(x, mixing).logits
    assert float(difference.abs().max()) > 1e-3


def cost(masks, training):
    """FLOPs of a pass, forward and backward when training, and the number of weights."""
    supernet = Supernet(masks, OPTIONS).double().train(training)
    with FlopCounterMode(display=False) as counter:
        logits = supernet(sequences(0), random_mixing(0, masks)).logits
        if training:
            logits.sum().backward()
    return counter.get_total_flops(), sum(p.numel() for p in supernet.parameters())


@pytest.mark.parametrize("training", [False, True])
def test_discarded_edges_cost_nothing(training):
    """Each stage costs less, and DEP's later stages less than P-DARTS' with the same primitives."""
    plain = [cost(masks, training) for masks in stage_masks(5)]
    discarding = [cost(masks, training) for masks in stage_masks(5, discard=True)]
    for costs in (plain, discarding):
        for before, after in pairwise(costs):
            assert after[0] < before[0]
            assert after[1] < before[1]
    assert discarding[0] == plain[0]
    for with_edges, without in zip(plain[1:], discarding[1:], strict=True):
        assert without[0] < with_edges[0]
        assert without[1] < with_edges[1]


@pytest.mark.parametrize("training", [False, True])
def test_an_edge_costs_as_much_as_its_operations_and_nothing_when_discarded(training):
    """FLOPs and weights add up over edges: what a discarded edge leaves behind is 0."""
    masks = stage_masks(6)[2]
    kept = masks.normal.copy()
    kept[5:8] = False
    alone = masks.normal & ~kept
    nothing = np.zeros_like(kept)
    whole, rest, part, none = (
        np.array(cost(masks._replace(normal=normal), training))
        for normal in (masks.normal, kept, alone, nothing)
    )
    assert (whole - rest)[1] == (part - none)[1] > 0
    assert (whole - rest)[0] > 0


def test_a_discarded_rhn_edge_saves_its_matrix_products():
    masks = full_masks()
    fewer = masks.rnn.copy()
    fewer[[2, 4, 9, 20]] = False  # of nodes 1, 2, 3 and 5
    whole, rest = (cost(masks._replace(rnn=rnn), False)[0] for rnn in (masks.rnn, fewer))
    hidden = 4 * 2 * 2 ** sum(i % 3 != 0 for i in range(OPTIONS.layers))
    steps = -(-OPTIONS.seq_size // 4)
    assert whole - rest == 4 * steps * 2 * 4 * hidden * 2 * hidden
