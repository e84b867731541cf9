"""The forms for few channels against torch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from generalNAS_tools.networks.cnn import few_channels
from generalNAS_tools.networks.cnn.operations import RowNorm, pool, repeat

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def rows(*shape):
    torch.manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def assert_same(found, expected, x):
    torch.testing.assert_close(found, expected, **EXACT)
    grad = torch.randn_like(found)
    gradients = [torch.autograd.grad(result, x, grad)[0] for result in (found, expected)]
    torch.testing.assert_close(*gradients, **EXACT)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 3, 17])
def test_an_average_pool(length, stride):
    x = rows(3, length, 2)
    expected = functional.avg_pool1d(x.mT, 5, stride, 2, count_include_pad=False).mT
    assert_same(few_channels.average(x, 5, stride), expected, x)


def test_repeating():
    x = rows(3, 7, 1, 4)
    assert_same(few_channels.repeat(x, 5), x.expand(-1, -1, 5, -1), x)


@pytest.mark.parametrize("shape", [(3, 17), (4, 16), (2, 4), (1, 2), (2, 1)])
def test_a_batch_norm_and_its_moments(shape):
    x = rows(*shape, 3)
    moments = [torch.zeros(3, dtype=x.dtype), torch.ones(3, dtype=x.dtype)]
    expected = functional.batch_norm(x.mT, *moments, training=True, momentum=1.0).mT
    found, *own = few_channels.normalise(x, 1e-5)
    assert_same(found, expected, x)
    torch.testing.assert_close(own, moments, **EXACT)


def test_a_batch_norm_far_from_zero_in_single_precision():
    x = (rows(16, 250, 4) + 100).float()
    found, *_ = few_channels.normalise(x, 1e-5)
    expected = functional.batch_norm(x.double().mT, None, None, training=True).mT
    assert (found - expected).abs().max() < 1e-4


def uses(name, x, *, training=True, affine=False):
    """What pools, repeats and normalises rows (B, L, C) in a cell."""
    if name == "average":
        return pool("avg_pool_5", x, 1)
    if name == "repeat":
        return repeat(x.unsqueeze(2), 3)
    return RowNorm(x.shape[2], affine=affine).to(x.dtype).train(training)(x)


@pytest.mark.parametrize("name", ["average", "repeat", "normalise"])
def test_few_channels_take_their_form(name, monkeypatch):
    expected = uses(name, rows(2, 8, 4))
    for dtype, channels, called in (
        (torch.float32, 4, True),
        (torch.float32, 5, False),
        (torch.bfloat16, 4, False),
    ):
        calls, form = [], getattr(few_channels, name)
        with monkeypatch.context() as patch:
            patch.setattr(few_channels, name, lambda *x, f=form, c=calls: c.append(1) or f(*x))
            found = uses(name, rows(2, 8, channels).to(dtype))
        assert bool(calls) == called
        if channels == 4:
            close = {"rtol": 1e-5, "atol": 1e-5} if called else {"rtol": 0.05, "atol": 0.05}
            torch.testing.assert_close(found.double(), expected, **close)


@pytest.mark.parametrize("given", [{"affine": True}, {"training": False}])
def test_a_batch_norm_with_more_to_it_is_left_to_torch(given, monkeypatch):
    monkeypatch.setattr(few_channels, "normalise", None)
    assert uses("normalise", rows(2, 8, 4), **given).shape == (2, 8, 4)


def test_running_statistics_are_those_of_torch():
    x = rows(2, 8, 4)
    own, norm = RowNorm(4, affine=False).double(), nn.BatchNorm1d(4, affine=False).double()
    for shift in range(3):
        own(x + shift), norm((x + shift).mT)
    torch.testing.assert_close(own.statistics, (norm.running_mean, norm.running_var), **EXACT)


def test_a_single_row_has_no_variance():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        uses("normalise", rows(1, 1, 4))
