import json

import numpy as np
import pytest
import torch

from generalNAS_tools.networks.plain_network import PlainRHN, take_weights
from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.networks.rhn.cells import FinalRHN, SearchRHN
from generalNAS_tools.search_space.edge_masks import RHN_EDGES, edges_of_node
from generalNAS_tools.search_space.genotypes import RHN_PRIMITIVES
from tests.conformance_data import load_npz
from tests.generalNAS_tools.networks.by_onednn import by_onednn
from tests.generalNAS_tools.networks.rhn.compiling import compiling
from tests.plain_forms.rhn import PlainSearchRHN, plain_state

T, B, H = 4, 3, 5
FULL = np.ones((36, 5), dtype=bool)
GENES = [
    ("tanh", 0),
    ("identity", 0),
    ("relu", 0),
    ("sigmoid", 2),
    ("relu", 4),
    ("identity", 4),
    ("tanh", 0),
    ("sigmoid", 7),
]


@pytest.fixture(autouse=True, params=["kernels", "steps"])
def _form(request, monkeypatch):
    """Both forms of the recurrence; the steps as they are before they are compiled."""
    torch.manual_seed(0)
    monkeypatch.setattr(compiled, "_piece", lambda function, examples: function)
    with compiling(request.param == "steps"):
        yield


def random_mask(seed, density=0.4):
    return np.random.default_rng(seed).random((36, 5)) < density


def without_node(mask, node):
    mask = mask.copy()
    mask[edges_of_node(RHN_EDGES, node), 1:] = False
    return mask


def random_mixing(mask):
    return torch.rand(36, 5, dtype=torch.float64) * torch.from_numpy(mask)


def set_weights(cell, scale=0.4):
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.uniform_(-scale, scale)
    return cell


def load_weights(cell, data):
    with torch.no_grad():
        cell.W0.copy_(torch.from_numpy(data["W0"]))
        for i, weight in enumerate(cell.W, start=1):
            weight.copy_(torch.from_numpy(data[f"W{i}"]))
    return cell


def pair(fast_class, plain_class, *arguments, **options):
    """The fast and the plain form with the same weights, in float64."""
    fast = set_weights(fast_class(H, *arguments, **options).double())
    plain = plain_class(H, *arguments, **options).double()
    take = take_weights if plain_class is PlainRHN else plain_class.load_from
    return fast, take(plain, fast)


def results(cell, x, *arguments, hidden=None, seed=7, **options):
    """Output and the gradients of all inputs and weights of one pass."""
    inputs = [t.clone().requires_grad_() for t in (x, *arguments, hidden) if t is not None]
    torch.manual_seed(seed)
    output = cell(*inputs, **options)
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    wanted = [*inputs, *cell.parameters()]
    grads = torch.autograd.grad(
        (weights * output**2).sum(), wanted, allow_unused=True, materialize_grads=True
    )
    return [output.detach(), *grads]


def assert_close(found, expected, rtol=1e-9, atol=1e-11):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


def assert_same_state(fast, plain):
    found, expected = plain_state(fast), plain.state_dict()
    assert found.keys() == expected.keys()
    assert_close([found[name] for name in expected], expected.values())


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("name", ["rhn_search_full", "rhn_search_dropped"])
def test_search_cell_conforms(name):
    data = load_npz(name)
    mask = data["switches"]
    cell = load_weights(SearchRHN(6, mask).double(), data)
    alphas = torch.from_numpy(data["alphas"]).requires_grad_()
    mixing = torch.zeros(36, 5, dtype=torch.float64)
    mixing = mixing.masked_scatter(torch.from_numpy(mask), alphas.softmax(-1))
    x, hidden = torch.from_numpy(data["input_TBC"]), torch.from_numpy(data["hidden_1BH"])
    output = cell(x, mixing, hidden)
    grads = torch.autograd.grad(output.square().mean(), [cell.W0, alphas])
    evaluated = cell.eval()(x, mixing, hidden)
    for found, key in (
        (output, "output_train"),
        (grads[0], "grad_W0_of_mean_square"),
        (grads[1], "grad_alphas_of_mean_square"),
        (cell.running_mean, "bn_running_mean"),
        (cell.running_var, "bn_running_var"),
        (evaluated, "output_eval_after_one_train_pass"),
    ):
        expected = torch.from_numpy(data[key])
        scale = expected.abs().max().item()
        torch.testing.assert_close(found.detach(), expected, rtol=1e-9, atol=1e-9 * scale)


def test_final_cell_conforms():
    data = load_npz("rhn_fixed")
    genes = json.loads(str(data["genotype"]))["rnn"]
    cell = load_weights(FinalRHN(6, genes).double(), data)
    output = cell(torch.from_numpy(data["input_TBC"]), torch.from_numpy(data["hidden_1BH"]))
    torch.testing.assert_close(
        output.detach(), torch.from_numpy(data["output"]), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    "mask",
    [FULL, random_mask(1), random_mask(2, 0.15), without_node(FULL, 3), without_node(FULL, 0)],
)
def test_search_cell_equals_its_plain_form(mask, dropout, training):
    fast, plain = pair(SearchRHN, PlainSearchRHN, mask, dropoutx=dropout, dropouth=dropout)
    x, mixing, hidden = noise(T, B, H), random_mixing(mask), noise(1, B, H)
    for cell in (fast, plain):
        torch.manual_seed(1)
        cell(x, mixing)
        cell.train(training)
    found = results(fast, x, mixing, hidden=hidden)
    assert_close(found, results(plain, x, mixing, hidden=hidden))
    assert_same_state(fast, plain)
    with torch.no_grad():
        torch.manual_seed(7)
        assert_close([fast(x, mixing, hidden)], found[:1])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_final_cell_equals_its_plain_form(dropout):
    fast, plain = pair(FinalRHN, PlainRHN, GENES, dropoutx=dropout, dropouth=dropout)
    x, hidden = noise(T, B, H), noise(1, B, H)
    for chosen in (hidden, None):
        found = results(fast, x, hidden=chosen)
        assert_close(found, results(plain, x, hidden=chosen))
    with torch.no_grad():
        torch.manual_seed(7)
        assert_close([fast(x)], found[:1])


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1), (2, 1, 0)])
def test_memory_layout_does_not_matter(order):
    x, hidden = noise(T, B, H), noise(1, B, H)
    back = [order.index(d) for d in range(3)]
    views = [t.permute(order).contiguous().permute(back) for t in (x, hidden)]
    for cell, extra in (
        (set_weights(SearchRHN(H, FULL, dropouth=0.3).double()), [random_mixing(FULL)]),
        (set_weights(FinalRHN(H, GENES, dropoutx=0.3).double()), []),
    ):
        expected = results(cell, x, *extra, hidden=hidden)
        assert_close(results(cell, views[0], *extra, hidden=views[1]), expected)


def test_every_final_topology_orders_its_groups():
    rng = np.random.default_rng(0)
    for _ in range(10):
        names = rng.choice(RHN_PRIMITIVES[1:], 8)
        genes = [(str(name), int(rng.integers(i + 1))) for i, name in enumerate(names)]
        fast, plain = pair(FinalRHN, PlainRHN, genes)
        x = noise(2, B, H)
        assert_close(results(fast, x), results(plain, x))


def test_an_active_part_equals_weights_of_zero():
    mask, active = random_mask(3, 0.8), random_mask(4, 0.3)
    active &= mask
    cell = set_weights(SearchRHN(H, mask).double())
    chosen = torch.from_numpy(active)
    x, mixing = noise(T, B, H), (random_mixing(mask).detach() * chosen).requires_grad_()
    expected = results(cell, x, mixing)
    found = results(cell, x, mixing, active=active)
    for gradients in (expected, found):
        gradients[2] *= chosen * (torch.arange(5) > 0)
    assert_close(found, expected)


def test_none_contributes_nothing():
    cell = set_weights(SearchRHN(H, FULL).double())
    x, mixing = noise(T, B, H), random_mixing(FULL)
    other = mixing.clone()
    other[:, 0] = 5
    found = results(cell, x, mixing)
    assert_close([results(cell, x, other)[0]], found[:1])
    assert found[2][:, 0].eq(0).all()


@pytest.mark.parametrize("training", [True, False])
def test_search_gradients_are_those_of_finite_differences(training):
    mask, step = random_mask(5, 0.3), 1e-6
    cell = set_weights(SearchRHN(3, mask, dropouth=0.2).double().train(training))
    names = [name for name, _ in cell.named_parameters()]

    def loss(x, mixing, hidden, *weights):
        torch.manual_seed(1)
        state = dict(zip(names, weights, strict=True))
        output = torch.func.functional_call(cell, state, (x, mixing, hidden))
        return (output**2 * torch.arange(3)).sum()

    inputs = [noise(2, 4, 3), random_mixing(mask), noise(1, 4, 3), *cell.parameters()]
    inputs = [value.detach().clone().requires_grad_() for value in inputs]
    grads = torch.autograd.grad(loss(*inputs), inputs)
    for i, (value, grad) in enumerate(zip(inputs, grads, strict=True)):
        direction = torch.randn_like(value)
        ends = []
        for sign in (1, -1):
            moved = [v.detach() for v in inputs]
            moved[i] = moved[i] + sign * step * direction
            ends.append(loss(*moved).item())
        slope = (ends[0] - ends[1]) / (2 * step)
        assert (grad * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_only_the_wanted_gradients_are_computed():
    cell = set_weights(SearchRHN(H, FULL).double())
    x, mixing = noise(T, B, H), random_mixing(FULL).requires_grad_()
    everything = results(cell, x, mixing.detach())
    cell.requires_grad_(False)
    output = cell(x, mixing)
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    (weights * output**2).sum().backward()
    assert_close([mixing.grad], [everything[2]])
    assert all(weight.grad is None for weight in cell.parameters())


def test_a_second_backward_pass_is_refused():
    output = SearchRHN(H, FULL)(torch.randn(T, B, H), torch.rand(36, 5)).sum()
    output.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="only once"):
        output.backward()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_follow_the_momentum(momentum):
    fast, plain = pair(SearchRHN, PlainSearchRHN, FULL)
    fast.momentum = plain.bn.momentum = momentum
    for _ in range(2):
        x, mixing = noise(T, B, H), random_mixing(FULL)
        with torch.no_grad():
            assert_close([fast(x, mixing)], [plain(x, mixing)])
    assert fast.num_batches_tracked == 2 * 9 * T
    assert_same_state(fast, plain)


@pytest.mark.parametrize("make", [lambda: SearchRHN(64, FULL), lambda: FinalRHN(64, GENES)])
def test_bfloat16_is_close_to_float32(make):
    cell = set_weights(make(), 0.1)
    x = torch.randn(8, 16, 64)
    extra = [torch.rand(36, 5) / 5] if isinstance(cell, SearchRHN) else []
    exact = results(cell, x, *extra)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = results(cell, x, *extra)
    for a, b in zip(rough, exact, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.03 * b.norm()


@pytest.mark.parametrize("make", [SearchRHN, FinalRHN])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_products_by_onednn_differ_in_rounding_alone(make, dropout):
    arguments, extra = (GENES, []) if make is FinalRHN else (FULL, [torch.rand(36, 5) / 5])
    cell = set_weights(make(H, arguments, dropouth=dropout), 0.1)
    x, sides = torch.randn(T, B, H), []
    for on in (True, False):
        with by_onednn(on) as asked:
            sides.append(results(cell, x, *extra))
        assert asked.call_count > 2 * T
    assert_close(*sides, rtol=1e-4, atol=1e-5)


def test_float16_is_refused():
    with (
        torch.autocast("cpu", dtype=torch.float16),
        pytest.raises(ValueError, match="float16"),
    ):
        FinalRHN(H, GENES)(torch.randn(T, B, H))


def test_initial_weights_are_uniform_within_bounds():
    cell = FinalRHN(32, GENES)
    for parameter in cell.parameters():
        assert parameter.abs().max() <= 0.04
        assert parameter.std().item() == pytest.approx(0.04 / 3**0.5, rel=0.1)


def test_time_steps_are_causal():
    cell = set_weights(FinalRHN(H, GENES).double())
    x = noise(T, B, H)
    with torch.no_grad():
        whole = cell(x)
        first, second = cell(x[:2]), cell(x[2:], cell(x[:2])[-1:])
    assert_close([torch.cat([first, second])], [whole])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SearchRHN(H, FULL[:3]), "mask is bool"),
        (lambda: SearchRHN(H, FULL, dropouth=1.0), "dropouth is 1.0"),
        (lambda: SearchRHN(H, FULL)(torch.ones(T, B, 2), torch.ones(36, 5)), "x has shape"),
        (lambda: SearchRHN(H, FULL)(torch.ones(T, B, H), torch.ones(36, 4)), "mixing has shape"),
        (lambda: SearchRHN(H, FULL)(torch.ones(T, 1, H), torch.ones(36, 5)), "batch of 1"),
        (lambda: FinalRHN(H, GENES)(torch.ones(T, B, H), torch.ones(B, H)), "hidden has shape"),
        (
            lambda: SearchRHN(H, ~FULL)(torch.ones(T, B, H), torch.ones(36, 5), active=FULL),
            "outside the supernet's mask",
        ),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("kind", ["search", "final"])
def test_what_is_not_finite_comes_out_as_in_the_plain_form(kind, value):
    x, mixing = noise(T, B, H), [random_mixing(FULL)] if kind == "search" else []
    x[1, 0, 2] = value
    if kind == "search":
        fast, plain = pair(SearchRHN, PlainSearchRHN, FULL)
    else:
        fast, plain = pair(FinalRHN, PlainRHN, GENES)
    found, expected = fast(x, *mixing), plain(x, *mixing)
    assert torch.isfinite(found[0]).all()
    assert value == value or found[1:, 0].isnan().all()
    assert torch.equal(found.isfinite(), expected.isfinite())
    torch.testing.assert_close(found, expected, equal_nan=True)
