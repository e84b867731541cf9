import pytest
import torch

from benchmarks.machine import count_operations
from generalNAS_tools.networks import matrix_product
from generalNAS_tools.networks.matrix_product import Dense, linear, multiply
from tests.generalNAS_tools.networks.by_onednn import by_onednn

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="torch without oneDNN"
)
DOUBLE = torch.zeros(11, 7, dtype=torch.float64)
LAYOUTS = {
    "rows": lambda x: x.clone(),
    "columns": lambda x: x.t().contiguous().t(),
    "every other column": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "part of a row": lambda x: torch.cat([x, x], 1)[:, : x.shape[1]],
}


@pytest.mark.parametrize("right", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS.values(), ids=LAYOUTS)
def test_onednn_multiplies_matrices_of_any_layout(left, right):
    torch.manual_seed(0)
    a, b = torch.randn(5, 7), torch.randn(7, 11)
    with by_onednn():
        product = multiply(left(a), right(b))
    torch.testing.assert_close(product, (a.double() @ b.double()).float())
    assert product.is_contiguous()


@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 5, 7)])
def test_a_dense_layer_by_onednn_and_its_gradients(shape, needed):
    torch.manual_seed(0)
    weight, x, bias = torch.randn(11, 7), torch.randn(shape), torch.randn(11)
    results = []
    for dtype in (torch.float64, torch.float32):
        leaves = [own.to(dtype, copy=True) for own in (x, weight)]
        wanted = [leaf for leaf, some in zip(leaves, needed, strict=True) if some]
        for leaf in wanted:
            leaf.requires_grad_()
        with by_onednn() as asked:
            y = linear(*leaves, bias.to(dtype))
            first = torch.autograd.grad(y.tanh().sum(), wanted, create_graph=True)
            second = torch.autograd.grad(sum(grad.square().sum() for grad in first), wanted)
        assert asked.called == (dtype == torch.float32)
        results.append([y, *first, *second])
    for plain, own in zip(*results, strict=True):
        torch.testing.assert_close(own, plain.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "weight"), [(torch.zeros(5, 8), torch.zeros(11, 7)), (torch.zeros(5, 7), DOUBLE)]
)
def test_operands_that_do_not_match_are_refused_as_ever(x, weight):
    messages = []
    for on in (False, True):
        with by_onednn(on), pytest.raises(RuntimeError) as refusal:
            linear(x, weight)
        messages.append(str(refusal.value))
    assert messages[0] == messages[1]


def test_a_dense_layer_leaves_the_dtype_to_autocast():
    torch.manual_seed(0)
    layer, x = Dense(7, 11), torch.randn(5, 7)
    with by_onednn() as asked, torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        assert torch.equal(y, torch.nn.functional.linear(x, layer.weight, layer.bias))
    assert y.dtype == torch.bfloat16
    assert not asked.called


@pytest.mark.parametrize("on", [False, True])
def test_products_count_the_same_whoever_multiplies(on):
    with by_onednn(on), count_operations() as counter:
        multiply(torch.zeros(3, 5), torch.zeros(5, 7))
    assert counter.get_total_flops() == 2 * 3 * 5 * 7


def test_onednn_multiplies_large_matrices_of_float32_alone(monkeypatch):
    counted = []
    monkeypatch.setattr(matrix_product, "_by_onednn", lambda: counted.append(1) or False)
    large = torch.randn(128, 128)
    multiply(large, large)
    assert len(counted) == 1
    for a, b in ((large[:, :8], large[:8]), (large.double(),) * 2, (large.bfloat16(),) * 2):
        assert torch.equal(multiply(a, b), a @ b)
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("vendor", "capability", "known", "expected"),
    [
        ("AuthenticAMD", "AVX512", True, True),
        ("GenuineIntel", "AVX512", True, False),
        ("AuthenticAMD", "AVX2", True, False),
        ("AuthenticAMD", "AVX512", False, False),
    ],
)
def test_onednn_multiplies_where_mkl_leaves_half_of_the_width(
    vendor, capability, known, expected, monkeypatch
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: known)
    monkeypatch.setattr("pathlib.Path.read_text", lambda path, **encoding: f"vendor_id : {vendor}")
    assert matrix_product._by_onednn.__wrapped__() == expected
