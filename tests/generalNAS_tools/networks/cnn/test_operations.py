"""The parts of the primitives against torch's own layers and closed forms."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from generalNAS_tools.networks.cnn.batched_parts import Batch, BatchedPart, run_parts
from generalNAS_tools.networks.cnn.operations import (
    PARTS,
    POOLS,
    Part,
    ReLUConvBN,
    pool,
)

EXACT = {"rtol": 1e-9, "atol": 1e-11}


def rows(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("length", [5, 24, 25])
@pytest.mark.parametrize("name", [*POOLS, *PARTS])
def test_every_primitive_keeps_ceil_of_length_over_stride(name, length, stride):
    x = rows(2, length, 4)
    if name in POOLS:
        result = pool(name, x, stride)
    else:
        parts = [
            BatchedPart(part, 1, 4, stride=1 if number else stride).double()
            for number, part in enumerate(PARTS[name])
        ]
        *first, last = parts
        read = x[:, :: parts[0].step].relu().unsqueeze(2)
        result = last(run_parts([[Batch(part, [0])] for part in first], read), [0]).squeeze(2)
    assert result.shape == (2, -(-length // stride), 4)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_average_does_not_count_the_padding(stride):
    ones = torch.ones(1, 7, 2)
    assert torch.equal(pool("avg_pool_5", ones, stride), ones[:, ::stride])


def test_pools_by_hand():
    x = torch.tensor([1.0, 5.0, 2.0, -3.0, 4.0, 0.0]).view(1, 6, 1)
    assert pool("max_pool_5", x, 2).flatten().tolist() == [5.0, 5.0, 4.0]
    torch.testing.assert_close(
        pool("avg_pool_5", x, 3).flatten(), torch.tensor([8 / 3, (5 + 2 - 3 + 4 + 0) / 5])
    )


def reference(part, x, weights, stride, count):
    """The same part with torch's layers: (B, L, n, C) → (B, L', n, C), before the BatchNorm."""
    image = x.flatten(2).transpose(1, 2)
    padding = part.dilation * (part.kernel - 1) // 2
    if part.separable:
        groups = image.shape[1]
        image = functional.conv1d(image, weights[0], None, stride, padding, part.dilation, groups)
        image = functional.conv1d(image, weights[1], groups=count)
    else:
        image = functional.conv1d(image.relu(), weights[0], None, stride, padding)
    return image


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("length", [16, 21])
@pytest.mark.parametrize(
    "part", [Part(15), Part(9), Part(15, 2), Part(9, 2), Part(15, separable=False)]
)
@pytest.mark.parametrize("training", [True, False])
def test_part_equals_torch_layers(folding, part, length, stride, training):
    torch.manual_seed(0)
    count, channels = 3, 4
    module = BatchedPart(part, count, channels, stride=stride, affine=True).double()
    norm = nn.BatchNorm1d(count * channels).double()
    with torch.no_grad():
        for tensor in (module.norm.weight, module.norm.bias, module.norm.running_mean):
            tensor.normal_()
        module.norm.running_var.uniform_(0.5, 2)
    norm.load_state_dict(module.norm.state_dict())
    module.train(training), norm.train(training)
    shared = count if part.separable else 1
    x = rows(2, length, shared, channels).requires_grad_()
    weights = [p for name, p in module.named_parameters() if not name.startswith("norm")]
    result = module(x[:, :: module.step], range(count))
    expected = norm(reference(part, x, weights, stride, count)).transpose(1, 2)
    expected = expected.unflatten(2, (count, channels))
    torch.testing.assert_close(result, expected, **EXACT)
    cotangent = torch.randn_like(result)
    for found, wanted in zip(
        torch.autograd.grad(result, [x, *weights, *module.norm.parameters()], cotangent),
        torch.autograd.grad(expected, [x, *weights, *norm.parameters()], cotangent),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(module.norm.running_mean, norm.running_mean, **EXACT)
    torch.testing.assert_close(module.norm.running_var, norm.running_var, **EXACT)


@pytest.mark.parametrize("ratio", [0, 100])
def test_a_large_mean_costs_no_digits(ratio):
    """torch's own BatchNorm loses 4e-5 here; a difference of moments 4e-2."""
    torch.manual_seed(0)
    part, chosen = BatchedPart(Part(1), 3, 8, stride=1), range(3)
    x = torch.randn(16, 250, 3, 8) + ratio
    expected = copy.deepcopy(part).double()(x.double(), chosen)
    assert (part(x, chosen) - expected).abs().max() < 1e-4


def test_momentum_of_one_over_batches_gives_the_average_over_them():
    """How BatchNorm statistics are recomputed for a subnet."""
    torch.manual_seed(0)
    part = BatchedPart(Part(9), 2, 4, stride=1).double()
    batches = [rows(3, 20, 2, 4) for _ in range(4)]
    means = []
    for batch in batches:
        part.norm.momentum = 1.0
        part(batch, [0, 1])
        means.append(part.norm.running_mean.clone())
    part.norm.reset_running_stats()
    for number, batch in enumerate(batches, start=1):
        part.norm.momentum = 1 / number
        part(batch, [0, 1])
    torch.testing.assert_close(part.norm.running_mean, torch.stack(means).mean(0), **EXACT)


def test_factorized_reduce_halves_see_the_same_positions():
    torch.manual_seed(0)
    reduce = ReLUConvBN(6, 4, affine=False, stride=2).double()
    x = rows(2, 6, 11)
    result = reduce(x)
    halves = [functional.conv1d(x.relu(), half, stride=2) for half in reduce.conv.weight.chunk(2)]
    expected = functional.batch_norm(torch.cat(halves, dim=1), None, None, training=True)
    torch.testing.assert_close(result, expected.transpose(1, 2), **EXACT)


def test_preprocessing_takes_either_memory_layout():
    torch.manual_seed(0)
    preprocess = ReLUConvBN(6, 4, affine=True).double()
    x = rows(2, 6, 11)
    channels_last = x.transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(preprocess(x), preprocess(channels_last), **EXACT)


def test_initial_weights_fill_the_bound_of_their_fan_in():
    torch.manual_seed(0)
    for part, fan_in in ((Part(15), 15), (Part(15, separable=False), 8 * 15)):
        weight = BatchedPart(part, 50, 8, stride=1).conv
        bound = fan_in**-0.5
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
