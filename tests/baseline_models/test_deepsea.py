"""DeepSEA: a network small enough to follow, and the order of pool and ReLU."""

import torch
from torch import nn

from baseline_models.deepsea import DeepSEA


def test_pool_then_relu_is_the_published_relu_then_pool() -> None:
    torch.manual_seed(0)
    network = DeepSEA(200, 4).eval()
    x = torch.randn(3, 4, 200)
    convs = [m for m in network.features if isinstance(m, nn.Conv1d)]
    hidden = nn.functional.max_pool1d(convs[0](x).relu(), 4)
    hidden = nn.functional.max_pool1d(convs[1](hidden).relu(), 4)
    hidden = convs[2](hidden).relu()
    assert torch.equal(network(x), network.classifier(hidden))


def test_dropout_rates_are_the_published_ones() -> None:
    rates = [m.p for m in DeepSEA(163, 1).modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.2, 0.2, 0.5]
