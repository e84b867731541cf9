import pytest
import torch

from generalNAS_tools.networks.cnn import products
from generalNAS_tools.networks.cnn.operations import join, join_lists, split
from generalNAS_tools.networks.cnn.pointwise import _in_order, pointwise_into

SIZES = [(n, channels) for n in (1, 2, 3, 4, 6, 7) for channels in (2, 4, 5, 8, 16, 20)]


def numbers(*shape, dtype=torch.float64):
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, dtype=dtype)


def test_few_channels_are_multiplied_several_operations_at_once():
    spans = {(n, c): products.span_of(n, torch.empty(1, 1, n, c)) for n, c in SIZES}
    assert spans[6, 2] == 6
    assert (spans[6, 4], spans[4, 4], spans[7, 4]) == (3, 4, 1)
    assert (spans[6, 8], spans[3, 8], spans[6, 16], spans[6, 20]) == (2, 1, 1, 1)


@pytest.mark.parametrize(("n", "channels"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_operation_is_multiplied_by_itself(n, channels, dtype):
    a, b = numbers(2, 5, n, channels, dtype=dtype), numbers(5, 2, n, channels, dtype=dtype)
    b, weight = b.reshape_as(a), numbers(n, channels, channels, dtype=dtype)
    torch.testing.assert_close(products.products(a, b), torch.einsum("blni,blnj->nij", a, b))
    total = b.clone()
    products.add_product(total, a, weight)
    torch.testing.assert_close(total, b + torch.einsum("blni,nij->blnj", a, weight))


@pytest.mark.parametrize("channels", [2, 4, 8, 16, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "slots", [(0, 1, 2, 3), (0, 0, 1, 1, 2, 2, 3, 3), (0, 1, 2, 3, 0, 1, 2, 3), (2, 0), (1, 1, 3)]
)
def test_slots_take_what_belongs_to_them(slots, channels, dtype):
    d = numbers(2, 5, len(slots), channels, dtype=dtype).requires_grad_()
    weight = numbers(len(slots), channels, channels, dtype=dtype).requires_grad_()
    start = numbers(4, 10 * channels, dtype=dtype)
    found = pointwise_into(start.clone(), d, weight, slots)
    expected = start.view(4, 2, 5, channels).unbind()
    for number, slot in enumerate(slots):
        more = torch.einsum("bli,oi->blo", d[:, :, number], weight[number])
        expected = [*expected[:slot], expected[slot] + more, *expected[slot + 1 :]]
    expected = torch.stack(list(expected)).view_as(start)
    torch.testing.assert_close(found, expected)
    for grad, wanted in zip(
        torch.autograd.grad(found, [d, weight], start),
        torch.autograd.grad(expected, [d, weight], start),
        strict=True,
    ):
        torch.testing.assert_close(grad, wanted)


def test_batches_of_equal_size_are_joined_edge_by_edge():
    batches = [torch.arange(3), torch.arange(10, 13)]
    joined = join(batches)
    assert joined.tolist() == join_lists([b.tolist() for b in batches]) == [0, 10, 1, 11, 2, 12]
    assert [part.tolist() for part in split(joined, [3, 3])] == [b.tolist() for b in batches]


@pytest.mark.parametrize("batches", [1, 2])
def test_all_operations_of_all_edges_are_one_product(batches):
    assert _in_order(join_lists([[0, 1, 2, 3]] * batches), 4)


def test_batches_of_other_sizes_stand_one_after_the_other():
    batches = [torch.arange(3), torch.arange(10, 11)]
    joined = join(batches)
    assert joined.tolist() == join_lists([b.tolist() for b in batches]) == [0, 1, 2, 10]
    assert [part.tolist() for part in split(joined, [3, 1])] == [b.tolist() for b in batches]
