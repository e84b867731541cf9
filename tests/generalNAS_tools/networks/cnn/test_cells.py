"""The CNN cells: conformance, and the batched form against the plain one."""

import copy
import json

import numpy as np
import pytest
import torch

from generalNAS_tools.networks.cnn.cells import CellShape, FinalCell, SearchCell, inherit_cell
from generalNAS_tools.networks.cnn.operations import POOLS
from generalNAS_tools.networks.plain_network import PlainCell, take_weights
from generalNAS_tools.search_space.edge_masks import CNN_EDGES
from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES, NONE
from tests.conformance_data import load_npz
from tests.plain_forms.cells import PlainSearchCell

SEARCH_CELLS = [
    f"search_cell_{kind}_{mask}"
    for kind in ("normal", "normal_after_reduction", "reduction", "reduction_stride3")
    for mask in ("full", "dropped")
]
FIXED_CELLS = ["fixed_cell_normal", "fixed_cell_reduction", "fixed_cell_reduction_stride3"]
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def tensor(array):
    return torch.from_numpy(array)


def shape_of(data):
    """The shape of the cell of a conformance file."""
    stride = 1
    if data["reduction"]:
        stride = 3 if data["stride3"] else 2
    return CellShape(
        in_channels=(data["s0"].shape[1], data["s1"].shape[1]),
        channels=data["weights/preprocess1/0"].shape[0],
        stride=stride,
        previous_stride=2 if data["previous_cell_reduced"] else 1,
    )


def load_weights(data, cell, operations):
    """Writes a file's convolutions; `operations` maps a name in the file to tensors."""
    with torch.no_grad():
        for name, target in (
            ("preprocess0", [cell.preprocess0.conv.weight]),
            ("preprocess1", [cell.preprocess1.conv.weight]),
            *operations,
        ):
            parts = [tensor(data[key]) for key in data if key.startswith(f"weights/{name}/")]
            weights = [t for t in target if t.dim() == 3]
            if len(parts) == 2 and len(weights) == 1:
                parts = [torch.cat(parts)]
            assert len(parts) == len(weights), name
            for weight, part in zip(weights, parts, strict=True):
                weight.copy_(part.reshape(weight.shape))


def alphas_to_mixing(alphas, mask):
    """Softmax over each edge's active primitives; one row per edge that has any."""
    mixing = alphas.new_zeros(mask.shape)
    rows = iter(torch.softmax(alphas, dim=1))
    for edge in np.flatnonzero(mask.any(axis=1)):
        mixing[edge, np.flatnonzero(mask[edge])] = next(rows)
    return mixing


@pytest.mark.parametrize("name", SEARCH_CELLS)
def test_search_cell_answers_as_the_2021_system(name):
    data = load_npz(name)
    mask = data["switches"]
    cell = SearchCell(mask, shape_of(data)).double()
    load_weights(
        data,
        cell,
        [
            (f"edge{edge:02d}/{primitive}", cell.operation_tensors(edge, k))
            for edge in range(len(CNN_EDGES))
            for k, primitive in enumerate(CNN_PRIMITIVES)
            if mask[edge, k]
        ],
    )
    alphas = tensor(data["alphas"]).requires_grad_()
    inputs = tensor(data["s0"]), tensor(data["s1"])
    output = cell(*inputs, alphas_to_mixing(alphas, mask))
    torch.testing.assert_close(output, tensor(data["output_train"]), **EXACT)
    output.square().mean().backward()
    torch.testing.assert_close(
        alphas.grad, tensor(data["grad_alphas_of_mean_square"]), rtol=1e-9, atol=1e-10
    )
    cell.eval()
    with torch.no_grad():
        output = cell(*inputs, alphas_to_mixing(alphas, mask))
    torch.testing.assert_close(output, tensor(data["output_eval_after_one_train_pass"]), **EXACT)


@pytest.mark.parametrize("name", FIXED_CELLS)
def test_final_cell_answers_as_the_2021_system(name):
    data = load_npz(name)
    genotype = json.loads(str(data["genotype"]))
    genes = genotype["reduce" if data["reduction"] else "normal"]
    cell = FinalCell([tuple(gene) for gene in genes], shape_of(data)).double()
    load_weights(
        data, cell, [(f"operation{i}", cell.operation_tensors(i)) for i in range(len(genes))]
    )
    output = cell(tensor(data["s0"]), tensor(data["s1"]))
    torch.testing.assert_close(output, tensor(data["output_train_no_drop_path"]), **EXACT)


def random_mask(rng, density):
    mask = rng.random((len(CNN_EDGES), len(CNN_PRIMITIVES))) < density
    mask[rng.random(len(CNN_EDGES)) < 0.2] = False
    return mask


def masks():
    """Full, sparse with an empty node, single primitives, and nothing at all."""
    rng = np.random.default_rng(3)
    full = np.ones((len(CNN_EDGES), len(CNN_PRIMITIVES)), dtype=bool)
    no_node_1 = random_mask(rng, 0.5)
    no_node_1[2:5] = False
    single = np.zeros_like(full)
    single[np.arange(14), rng.integers(9, size=14)] = True
    return {
        "full": full,
        "sparse": random_mask(rng, 0.3),
        "no_node_1": no_node_1,
        "single": single,
        "none_only": np.eye(1, 9, NONE, dtype=bool).repeat(14, axis=0),
    }


CASES = [
    ("full", 1, 1, 23),
    ("full", 2, 2, 24),
    ("full", 3, 2, 23),
    ("sparse", 1, 2, 21),
    ("sparse", 2, 1, 17),
    ("sparse", 3, 3, 25),
    ("no_node_1", 2, 1, 30),
    ("no_node_1", 1, 3, 5),
    ("single", 1, 1, 20),
    ("single", 2, 2, 19),
    ("none_only", 2, 1, 20),
]


def shape(stride=1, previous_stride=1):
    return CellShape((6, 8), 4, stride, previous_stride)


def build(mask, stride=1, previous_stride=1):
    torch.manual_seed(1)
    fast = SearchCell(mask, shape(stride, previous_stride)).double()
    plain = PlainSearchCell(mask, shape(stride, previous_stride)).double()
    return fast, plain.load_from(fast)


def random_inputs(length, previous_stride=1):
    before = length * previous_stride - (previous_stride - 1)
    return [
        torch.randn(3, 6, before, dtype=torch.float64, requires_grad=True),
        torch.randn(3, 8, length, dtype=torch.float64, requires_grad=True),
    ]


def random_mixing(mask):
    return (torch.rand(14, 9, dtype=torch.float64) * torch.from_numpy(mask)).requires_grad_()


def parameter_gradients(cell):
    """The cell with its gradients in place of its weights, ready for `load_from`."""
    for parameter in cell.parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.data = grad
    return cell


def assert_same_state(first, second, **tolerance):
    for (name, value), (_, expected) in zip(
        first.state_dict().items(), second.state_dict().items(), strict=True
    ):
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(
                value, expected, msg=lambda text, name=name: f"{name}: {text}", **tolerance
            )


def gradients(output, cotangent, inputs):
    """Backpropagates into the cell's weights; returns the gradients of the inputs."""
    if output.requires_grad:
        (output * cotangent).sum().backward()
    found = [torch.zeros_like(x) if x.grad is None else x.grad for x in inputs]
    for x in inputs:
        x.grad = None
    return found


def assert_same_cells(fast, plain, inputs, take_weights=PlainSearchCell.load_from):
    """Output, gradients of inputs and weights, statistics, and evaluation."""
    output, expected = fast(*inputs), plain(*inputs)
    torch.testing.assert_close(output, expected, **EXACT)
    cotangent = torch.randn_like(output)
    torch.testing.assert_close(
        gradients(output, cotangent, inputs),
        gradients(expected, cotangent, inputs),
        rtol=1e-8,
        atol=1e-10,
    )
    fast.eval(), plain.eval()
    torch.testing.assert_close(fast(*inputs), plain(*inputs), **EXACT)
    of_fast = take_weights(copy.deepcopy(plain), parameter_gradients(fast))
    assert_same_state(of_fast, parameter_gradients(plain), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("kind", "stride", "previous_stride", "length"), CASES)
def test_batched_equals_plain(folding, kind, stride, previous_stride, length):
    mask = masks()[kind]
    fast, plain = build(mask, stride, previous_stride)
    assert_same_cells(fast, plain, [*random_inputs(length, previous_stride), random_mixing(mask)])


GENES = {
    "all": [
        ("sep_conv_15", 0),
        ("conv_15", 1),
        ("dil_conv_9", 0),
        ("max_pool_5", 2),
        ("skip_connect", 1),
        ("dil_conv_15", 3),
        ("avg_pool_5", 1),
        ("sep_conv_9", 4),
    ],
    "repeated": [
        ("skip_connect", 0),
        ("skip_connect", 1),
        ("sep_conv_9", 0),
        ("sep_conv_9", 0),
        ("conv_15", 2),
        ("conv_15", 2),
        ("skip_connect", 4),
        ("max_pool_5", 0),
    ],
}


@pytest.mark.parametrize("genes", GENES.values(), ids=GENES.keys())
@pytest.mark.parametrize(("stride", "length"), [(1, 21), (2, 21), (3, 23)])
def test_final_cell_equals_plain(folding, genes, stride, length):
    torch.manual_seed(1)
    fast = FinalCell(genes, shape(stride, 2)).double()
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    plain = take_weights(PlainCell(genes, shape(stride, 2)).double(), fast)
    inputs = random_inputs(length, 2)
    assert fast(*inputs).shape == (3, 16, -(-length // stride))
    plain(*inputs)
    assert_same_cells(fast, plain, inputs, take_weights)


def test_only_mixing_gradients():
    """With frozen weights the alpha step finds the same gradient and leaves none behind."""
    mask = masks()["full"]
    fast, plain = build(mask, 2)
    inputs, mixing = random_inputs(22), random_mixing(mask)
    fast.requires_grad_(False)
    expected = torch.autograd.grad(plain(*inputs, mixing).square().mean(), mixing)
    frozen = [x.detach() for x in inputs]
    found = torch.autograd.grad(fast(*frozen, mixing).square().mean(), mixing)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", ["full", "no_node_1"])
def test_active_subset_equals_the_cell_of_that_mask(folding, kind):
    mask = masks()[kind]
    fast, _ = build(mask, 2)
    active = random_mask(np.random.default_rng(5), 0.4)
    small = SearchCell(mask & active, shape(2)).double()
    inherit_cell(small, fast)
    before = copy.deepcopy(fast)
    inputs, mixing = random_inputs(22), random_mixing(mask).detach()
    mixing *= torch.from_numpy(active)
    output = fast(*inputs, mixing, active=active)
    torch.testing.assert_close(output, small(*inputs, mixing), **EXACT)
    for edge, primitive in np.argwhere(mask):
        tensors = fast.operation_tensors(edge, primitive)
        other = (small if active[edge, primitive] else before).operation_tensors(edge, primitive)
        if CNN_PRIMITIVES[primitive] not in POOLS:
            torch.testing.assert_close(tensors, other, **EXACT)
    fast.eval(), small.eval()
    torch.testing.assert_close(
        fast(*inputs, mixing, active=active), small(*inputs, mixing), **EXACT
    )


def test_inherited_cell_answers_alike():
    """A cell whose mask survives whole answers as the old one; what is new stays as drawn."""
    rng = np.random.default_rng(2)
    old_mask, extra = random_mask(rng, 0.5), random_mask(rng, 0.5)
    old, _ = build(old_mask)
    inputs, mixing = random_inputs(20), random_mixing(old_mask)
    old(*inputs, mixing)
    new = SearchCell(old_mask | extra, shape()).double()
    drawn = copy.deepcopy(new)
    inherit_cell(new, old)
    new.eval(), old.eval()
    torch.testing.assert_close(new(*inputs, mixing), old(*inputs, mixing), **EXACT)
    for edge, primitive in np.argwhere(extra & ~old_mask):
        if CNN_PRIMITIVES[primitive] not in POOLS:
            torch.testing.assert_close(
                new.operation_tensors(edge, primitive), drawn.operation_tensors(edge, primitive)
            )


def test_operation_tensors_are_views():
    mask = masks()["full"]
    cell, _ = build(mask)
    inputs, mixing = random_inputs(20), random_mixing(mask)
    cell(*inputs, mixing)
    edge, primitive = 7, CNN_PRIMITIVES.index("sep_conv_9")
    shapes = [tuple(t.shape) for t in cell.operation_tensors(edge, primitive)]
    assert shapes == [(4, 1, 9), (4, 4, 1), (4,), (4,)] * 2
    for t in cell.operation_tensors(edge, primitive):
        t.zero_()
    assert all(not t.any() for t in cell.operation_tensors(edge, primitive))
    cell.eval()
    without = mask.copy()
    without[edge, primitive] = False
    torch.testing.assert_close(
        cell(*inputs, mixing), cell(*inputs, mixing, active=without), **EXACT
    )


def identities_only():
    mask = np.zeros((14, 9), dtype=bool)
    mask[:2, CNN_PRIMITIVES.index("skip_connect")] = True
    return mask


def test_skip_dropout_hits_identities_in_training_only():
    mask = identities_only()
    cell, _ = build(mask)
    inputs, mixing = random_inputs(400), torch.from_numpy(mask).double()
    whole = cell(*inputs, mixing)
    cell.skip_dropout = 0.25
    states = [cell.preprocess0(inputs[0]), cell.preprocess1(inputs[1])]
    torch.manual_seed(0)
    dropped = cell(*inputs, mixing)[:, :4]
    a, b = (state.transpose(1, 2) for state in states)
    kinds = torch.stack([(dropped - (x * a + y * b) / 0.75).abs() for x in (0, 1) for y in (0, 1)])
    assert kinds.min(0).values.max() < 1e-9
    shares = torch.bincount(kinds.argmin(0).flatten(), minlength=4) / dropped.numel()
    expected = torch.tensor([0.25**2, 0.25 * 0.75, 0.25 * 0.75, 0.75**2])
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.03)
    cell.eval()
    kept = cell(*inputs, mixing)
    cell.skip_dropout = 0.0
    assert torch.equal(kept, cell(*inputs, mixing))
    torch.testing.assert_close(whole[:, 4:], torch.zeros_like(whole[:, 4:]))


def test_skip_dropout_leaves_reductions_alone():
    mask = identities_only()
    cell, _ = build(mask, 2)
    inputs, mixing = random_inputs(20), torch.from_numpy(mask).double()
    expected = cell(*inputs, mixing)
    cell.skip_dropout = 0.5
    torch.testing.assert_close(cell(*inputs, mixing), expected, **EXACT)


def test_drop_path_drops_whole_sequences_but_no_identities():
    torch.manual_seed(0)
    genes = [("max_pool_5", 0), ("skip_connect", 1)] * 4
    cell = FinalCell(genes, shape()).double()
    inputs = [torch.randn(2000, c, 3, dtype=torch.float64) for c in (6, 8)]
    whole = cell(*inputs)[:, :4]
    identity = cell.preprocess1(inputs[1]).transpose(1, 2)
    edge = whole - identity
    factor = ((cell(*inputs, 0.2)[:, :4] - identity) / edge).flatten(1)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-6, atol=1e-6)
    kept = factor[:, 0] > 0.5
    torch.testing.assert_close(factor[kept, 0], torch.full_like(factor[kept, 0], 1.25))
    assert not factor[~kept, 0].abs().gt(1e-6).any()
    assert abs(kept.double().mean() - 0.8) < 0.03
    cell.eval()
    assert torch.equal(cell(*inputs, 0.2), cell(*inputs))


@pytest.mark.parametrize("kind", ["search", "final"])
def test_bfloat16_autocast_is_close(folding, kind):
    torch.manual_seed(0)
    mask = masks()["full"]
    cell = SearchCell(mask, shape(2)) if kind == "search" else None
    cell = cell or FinalCell(GENES["all"], shape(2))
    inputs = [torch.randn(8, 6, 64), torch.randn(8, 8, 64, requires_grad=True)]
    mixing = [torch.full((14, 9), 1 / 9, requires_grad=True)] if kind == "search" else []
    expected = cell(*inputs, *mixing)
    (grad_expected,) = torch.autograd.grad(expected.square().mean(), inputs[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = cell(*inputs, *mixing)
    assert output.dtype == torch.bfloat16
    (grad,) = torch.autograd.grad(output.float().square().mean(), inputs[1])
    assert (output.float() - expected).norm() < 0.03 * expected.norm()
    assert (grad - grad_expected).norm() < 0.1 * grad_expected.norm()


def test_single_precision_agrees_with_double(folding):
    torch.manual_seed(0)
    mask = masks()["full"]
    cell = SearchCell(mask, shape(3))
    inputs, mixing = random_inputs(41), random_mixing(mask)
    single = cell(*(x.float() for x in inputs), mixing.float())
    (grad,) = torch.autograd.grad(single.square().mean(), mixing)
    cell = cell.double()
    double = cell(*inputs, mixing)
    (expected,) = torch.autograd.grad(double.square().mean(), mixing)
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-4)


def test_wrong_mask_is_refused():
    with pytest.raises(ValueError, match=r"\(14, 5\); expected \(14, 9\)"):
        SearchCell(np.ones((14, 5), dtype=bool), shape())
