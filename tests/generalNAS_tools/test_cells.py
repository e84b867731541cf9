"""The CNN cells: conformance, and the batched form against the plain one."""

import copy
import json

import numpy as np
import pytest
import torch

from generalNAS_tools.cells import FinalCell, SearchCell
from generalNAS_tools.edge_masks import CNN_EDGES
from generalNAS_tools.genotypes import CNN_PRIMITIVES, NONE
from tests.conformance_data import load_npz
from tests.plain_forms.cells import PlainSearchCell

SEARCH_CELLS = [
    f"search_cell_{kind}_{mask}"
    for kind in ("normal", "normal_after_reduction", "reduction", "reduction_stride3")
    for mask in ("full", "dropped")
]
FIXED_CELLS = ["fixed_cell_normal", "fixed_cell_reduction", "fixed_cell_reduction_stride3"]
EXACT = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Tiny tensors: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tensor(array):
    return torch.from_numpy(array)


def shape_of(data):
    """The constructor's keywords for the cell of a conformance file."""
    stride = 1
    if data["reduction"]:
        stride = 3 if data["stride3"] else 2
    return {
        "in_channels": (data["s0"].shape[1], data["s1"].shape[1]),
        "channels": data["weights/preprocess1/0"].shape[0],
        "stride": stride,
        "previous_stride": 2 if data["previous_cell_reduced"] else 1,
    }


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
    cell = SearchCell(mask, **shape_of(data)).double()
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
    cell = FinalCell([tuple(gene) for gene in genes], **shape_of(data)).double()
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


def build(mask, stride, previous_stride, *, channels=4):
    torch.manual_seed(1)
    keywords = {
        "in_channels": (6, 8),
        "channels": channels,
        "stride": stride,
        "previous_stride": previous_stride,
    }
    fast = SearchCell(mask, **keywords).double()
    return fast, PlainSearchCell(mask, **keywords).double().load_from(fast)


def random_inputs(mask, length, previous_stride):
    before = length * previous_stride - (previous_stride - 1)
    return [
        torch.randn(3, 6, before, dtype=torch.float64, requires_grad=True),
        torch.randn(3, 8, length, dtype=torch.float64, requires_grad=True),
        (torch.rand(14, 9, dtype=torch.float64) * torch.from_numpy(mask)).requires_grad_(),
    ]


def parameter_gradients(cell):
    """Runs `load_from` on the gradients: the plain cell then holds them as weights."""
    for parameter in cell.parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.data = grad
    return cell


def assert_same_cells(plain, other):
    for (name, value), (_, expected) in zip(
        plain.state_dict().items(), other.state_dict().items(), strict=True
    ):
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize(("kind", "stride", "previous_stride", "length"), CASES)
def test_batched_equals_plain(kind, stride, previous_stride, length):
    mask = masks()[kind]
    fast, plain = build(mask, stride, previous_stride)
    inputs = random_inputs(mask, length, previous_stride)
    compare(fast, plain, inputs, mask)


def compare(fast, plain, inputs, mask, *, drop=()):
    """Output, all gradients, statistics and evaluation of the two forms."""
    output, expected = fast(*inputs), plain(*inputs)
    torch.testing.assert_close(output, expected, **EXACT)
    weights = torch.randn_like(output)
    grads = []
    for y in (output, expected):
        if y.requires_grad:
            (y * weights).sum().backward()
        grads.append([torch.zeros_like(x) if x.grad is None else x.grad for x in inputs])
        for x in inputs:
            x.grad = None
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-8, atol=1e-10)
    fast.eval(), plain.eval()
    torch.testing.assert_close(fast(*inputs), plain(*inputs), **EXACT)
    of_fast = copy.deepcopy(plain).load_from(parameter_gradients(fast))
    assert_same_cells(of_fast, parameter_gradients(plain))
