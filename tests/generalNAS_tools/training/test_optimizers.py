import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from generalNAS_tools.runs.options import Clipping, WeightOptions
from generalNAS_tools.training.optimizers import (
    clip_gradients,
    cosine_schedule,
    split_parameters,
    step_schedule,
    weight_optimizer,
)

OPTIONS = WeightOptions(
    cnn_lr=0.1,
    rhn_lr=8.0,
    momentum=0.9,
    cnn_weight_decay=0.01,
    rhn_weight_decay=0.0,
    learning_rate_min=0.001,
    clip=0.25,
    one_clip=True,
    conv_clip=5.0,
    rhn_clip=0.5,
)


class Tiny(nn.Module):
    """One weight outside of the RHN and one inside."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False)
        self.rhn = nn.Module()
        self.rhn.W0 = nn.Parameter(torch.tensor([2.0]))
        self.rhnlike = nn.Parameter(torch.tensor([1.0]))
        with torch.no_grad():
            self.head.weight.fill_(3.0)

    def set_gradients(self, head, rhn, other=0.0):
        self.head.weight.grad = torch.tensor([[head]])
        self.rhn.W0.grad = torch.tensor([rhn])
        self.rhnlike.grad = torch.tensor([other])

    def gradients(self):
        return [p.grad.item() for p in (self.head.weight, self.rhn.W0, self.rhnlike)]


def test_only_the_rhn_s_own_weights_are_in_its_group():
    network = Tiny()
    others, rhn = split_parameters(network)
    assert rhn == [network.rhn.W0]
    assert {id(p) for p in others} == {id(network.head.weight), id(network.rhnlike)}


def test_two_steps_by_hand():
    network = Tiny()
    optimizer = weight_optimizer(network, OPTIONS)
    head, rhn, velocity = 3.0, 2.0, None
    for gradient in (0.5, -0.2):
        network.set_gradients(gradient, gradient)
        optimizer.step()
        change = gradient + 0.01 * head
        velocity = change if velocity is None else 0.9 * velocity + change
        head -= 0.1 * velocity
        rhn -= 8.0 * gradient  # no momentum, no decay
    assert network.head.weight.item() == pytest.approx(head, rel=1e-6)
    assert network.rhn.W0.item() == pytest.approx(rhn, rel=1e-6)


def test_a_step_of_adamw_by_hand():
    """The first step is the rate times the gradient's sign, besides the decay."""
    network = Tiny()
    options = WeightOptions(optimizer="adamw", adamw_lr=0.01, adamw_weight_decay=0.1)
    optimizer = weight_optimizer(network, options)
    schedule = cosine_schedule(optimizer, replace(options, learning_rate_min=0.5), epochs=2)
    network.set_gradients(0.5, -20.0)
    optimizer.step()
    assert network.head.weight.item() == pytest.approx(3.0 * (1 - 0.001) - 0.01)
    assert network.rhn.W0.item() == pytest.approx(2.0 * (1 - 0.001) + 0.01)
    rates = []
    for _ in range(2):
        step_schedule(schedule)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [pytest.approx(0.005), 0.0]


@pytest.mark.parametrize(
    ("optimizer", "clip", "together"),
    [("sgd", None, 0.25), ("adamw", None, 1.0), ("sgd", 3.0, 3.0), ("adamw", 0.0, 0.0)],
)
def test_each_optimizer_has_its_own_clipping(optimizer, clip, together):
    options = WeightOptions(optimizer=optimizer, clip=clip)
    assert options.clipping == Clipping(together, 5.0, 0.25)
    assert replace(options, one_clip=False).clipping.together is None


def test_the_cosine_ends_at_the_minimum():
    optimizer = weight_optimizer(Tiny(), OPTIONS)
    schedule = cosine_schedule(optimizer, OPTIONS, epochs=4)
    for epoch in range(5):
        for group, start in zip(optimizer.param_groups, (0.1, 8.0), strict=True):
            expected = 0.001 + (start - 0.001) * (1 + math.cos(math.pi * epoch / 4)) / 2
            assert group["lr"] == pytest.approx(expected)
        optimizer.step()
        schedule.step()


def test_the_cosine_of_a_stage_of_its_own_length():
    optimizer = weight_optimizer(Tiny(), OPTIONS)
    schedule = cosine_schedule(optimizer, OPTIONS, epochs=1)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.001, 0.001])


def test_a_run_longer_than_the_cosine_stays_at_its_minimum():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = cosine_schedule(optimizer, OPTIONS, epochs=4)
    rates = []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        step_schedule(schedule)
    lowest, top = OPTIONS.learning_rate_min, 0.2
    for epoch, rate in enumerate(rates[:4]):
        expected = lowest + (top - lowest) * (1 + math.cos(math.pi * epoch / 4)) / 2
        assert math.isclose(rate, expected)
    assert rates[4:] == [lowest] * 5


@pytest.mark.parametrize(
    ("one_clip", "before", "after"),
    [
        (True, (3.0, 4.0, 0.0), (0.15, 0.2, 0.0)),
        (True, (0.1, 0.2, 0.0), (0.1, 0.2, 0.0)),
        (False, (6.0, 4.0, 8.0), (3.0, 0.5, 4.0)),
        (False, (3.0, 0.4, 0.0), (3.0, 0.4, 0.0)),
    ],
)
def test_clipping_together_or_apart(one_clip, before, after):
    network = Tiny()
    network.set_gradients(*before)
    clip_gradients(network, replace(OPTIONS, one_clip=one_clip).clipping)
    assert network.gradients() == pytest.approx(after, rel=1e-5)


def test_clipping_takes_weights_without_gradients():
    network = Tiny()
    network.set_gradients(3.0, 4.0)
    network.rhnlike.grad = None
    clip_gradients(network, Clipping(0.25, 5.0, 0.25))
    assert network.head.weight.grad.item() == pytest.approx(0.15, rel=1e-5)


def test_clipping_apart_without_an_rhn():
    network = nn.Linear(1, 1)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 30.0)
    clip_gradients(network, Clipping(None, 5.0, 0.25))
    assert network.weight.grad.item() == pytest.approx(5 / math.sqrt(2), rel=1e-5)
