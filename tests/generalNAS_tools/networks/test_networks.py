"""Supernet and final network as wholes: sizes, counts, and agreement with their plain forms."""

import numpy as np
import pytest
import torch
from torch import nn

from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions, cell_shapes, num_time_steps
from generalNAS_tools.networks.plain_network import PlainFinalNetwork, take_weights
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.search_space.genotypes import parse_genotype
from generalNAS_tools.search_space.mixing import MixingWeights, mask_mixing
from generalNAS_tools.training.optimizers import split_parameters
from tests.conformance_data import load_json
from tests.generalNAS_tools.networks.by_onednn import by_onednn
from tests.plain_forms.network import PlainSupernet

COUNTS = load_json("parameter_counts")
GENOTYPE = parse_genotype(COUNTS["final"][0]["genotype"], source="conformance")


def full_options():
    whole = COUNTS["supernet"]
    return NetworkOptions(
        whole["seq_size"], whole["classes"], whole["init_channels"], whole["layers"]
    )


def num_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_supernet_has_the_published_number_of_parameters():
    with torch.device("meta"):
        supernet = Supernet(full_masks(), full_options())
    assert num_parameters(supernet) == COUNTS["supernet"]["weights_without_alphas"]


@pytest.mark.parametrize("case", COUNTS["final"])
def test_final_network_has_the_published_number_of_parameters(case):
    with torch.device("meta"):
        genotype = parse_genotype(case["genotype"], source="conformance")
        network = FinalNetwork(genotype, full_options())
    assert num_parameters(network) == case["parameters"]


def test_lengths_and_channels_of_the_full_size():
    shapes = cell_shapes(8, 6)
    lengths = [num_time_steps(1000, shapes[: i + 1]) for i in range(6)]
    assert lengths == [1000, 500, 250, 250, 125, 42]
    assert 4 * shapes[-1].channels == 512


def test_parameter_groups_share_nothing_and_leave_nothing_out():
    supernet = Supernet(full_masks(), NetworkOptions(24, 3, 4, 2))
    others, rhn = split_parameters(supernet)
    assert len(rhn) == 9
    assert {*map(id, others), *map(id, rhn)} == {*map(id, supernet.parameters())}
    assert len(others) + len(rhn) == len(list(supernet.parameters()))


def random_mixing(masks, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = mask_mixing(masks, torch.device("cpu"))
    return MixingWeights(
        *((w * torch.rand(w.shape, generator=generator)).double().requires_grad_() for w in weights)
    )


def random_masks(seed):
    rng = np.random.default_rng(seed)
    return type(full_masks())(*(mask & (rng.random(mask.shape) < 0.4) for mask in full_masks()))


def compare(fast, plain, run_fast, run_plain, inputs):
    """Same logits, RHN outputs and gradients of `inputs` from both networks."""
    torch.manual_seed(5)
    mine = run_fast(fast)
    torch.manual_seed(5)
    theirs = run_plain(plain)
    torch.testing.assert_close(mine.logits, theirs.logits, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(mine.rhn_outputs, theirs.rhn_outputs, rtol=1e-9, atol=1e-12)
    loss, plain_loss = mine.logits.square().mean(), theirs.logits.square().mean()
    gradients = torch.autograd.grad(loss, inputs, materialize_grads=True)
    expected = torch.autograd.grad(plain_loss, inputs, materialize_grads=True)
    for gradient, plain_gradient in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, plain_gradient, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("seq_size", [24, 37])
@pytest.mark.parametrize("seed", range(2))
def test_supernet_agrees_with_its_plain_form(seed, seq_size):
    torch.manual_seed(seed)
    masks = full_masks() if seed == 0 else random_masks(seed)
    options = NetworkOptions(seq_size, 3, 2, 6, dropoutx=0.0, dropouth=0.0)
    fast = Supernet(masks, options).double()
    plain = PlainSupernet(masks, options).double().load_from(fast)
    fast.network.head[0].p = plain.network.head[0].p = 0.0
    mixing = random_mixing(masks, seed)
    x = torch.randn(3, 4, seq_size, dtype=torch.float64, requires_grad=True)
    compare(fast, plain, lambda n: n(x, mixing), lambda n: n(x, mixing), [x, *mixing])
    fast.eval()
    plain.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            fast(x, mixing).logits, plain(x, mixing).logits, rtol=1e-8, atol=1e-12
        )


@pytest.mark.parametrize("seq_size", [24, 37])
def test_final_network_agrees_with_its_plain_form(seq_size):
    torch.manual_seed(0)
    options = NetworkOptions(seq_size, 3, 2, 6, dropoutx=0.0, dropouth=0.0)
    fast = FinalNetwork(GENOTYPE, options).double()
    plain = take_weights(PlainFinalNetwork(GENOTYPE, options).double(), fast)
    fast.network.head[0].p = plain.network.head[0].p = 0.0
    x = torch.randn(3, 4, seq_size, dtype=torch.float64, requires_grad=True)
    compare(fast, plain, lambda n: n(x), lambda n: n(x), [x])
    fast.eval()
    plain.eval()
    with torch.no_grad():
        torch.testing.assert_close(fast(x).logits, plain(x).logits, rtol=1e-8, atol=1e-12)


def test_the_head_of_the_plain_form_is_ordinary_modules():
    plain = PlainFinalNetwork(GENOTYPE, NetworkOptions(24, 3, 2, 3))
    assert {type(layer) for layer in plain.network.head} == {nn.Dropout, nn.Linear, nn.ReLU}


def weight_gradients(network, arguments):
    """Gradients of all weights, and of the mixing weights if there are any, in float64."""
    torch.manual_seed(5)
    wanted = [*network.parameters(), *(m for mixing in arguments[1:] for m in mixing)]
    loss = network(*arguments).logits.square().mean()
    gradients = torch.autograd.grad(loss, wanted, materialize_grads=True)
    assert {gradient.dtype for gradient in gradients} == {arguments[0].dtype}
    return [gradient.double() for gradient in gradients]


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("kind", ["supernet", "final"])
def test_float32_gradients_of_all_weights_are_those_of_float64(kind, onednn, folding):
    torch.manual_seed(0)
    options = NetworkOptions(50, 3, 4, 3, dropoutx=0.1, dropouth=0.05)
    network, mixing = FinalNetwork(GENOTYPE, options), []
    if kind == "supernet":
        network, mixing = Supernet(full_masks(), options), [random_mixing(full_masks(), 0)]
    network.network.head[0].p = 0.0  # its draws differ between the types
    x = torch.randn(8, 4, 50)
    single = [MixingWeights(*(w.detach().float().requires_grad_() for w in m)) for m in mixing]
    with by_onednn(onednn):
        found = weight_gradients(network, [x, *single])
    exact = weight_gradients(network.double(), [x.double(), *mixing])
    whole = torch.stack([gradient.norm() for gradient in exact]).norm()
    for one, other in zip(found, exact, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm() + 1e-6 * whole
    assert sum(not torch.equal(a, b) for a, b in zip(found, exact, strict=True)) > len(exact) / 2


def uncalled(network, *inputs):
    """Modules that no hook sees in a pass; those inside of batches of operations left out."""
    called, modules = set(), dict(network.named_modules())
    for name, module in modules.items():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    network(*inputs)
    containers = (torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.ParameterList)
    names = {name for name, module in modules.items() if not isinstance(module, containers)}
    return {name for name in names - called if ".batches." not in name}


@pytest.mark.parametrize("training", [True, False])
def test_hooks_see_every_module_but_folded_norms(training):
    options = NetworkOptions(24, 3, 4, 2)
    x = torch.nn.functional.one_hot(torch.randint(4, (3, 24)), 4).mT.float()
    mixing = MixingWeights(torch.rand(14, 9), torch.rand(14, 9), torch.rand(36, 5))
    search = uncalled(Supernet(full_masks(), options).train(training), x, mixing)
    final = uncalled(FinalNetwork(GENOTYPE, options).train(training), x)
    assert {name.rpartition(".")[2] for name in search | final} == {"norm"}
    if training:
        assert not search
        assert all(".operations." in name for name in final)
