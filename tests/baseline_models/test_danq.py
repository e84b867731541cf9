"""DanQ: the LSTM reads both ways, and every position reaches the output."""

import torch
from torch import nn

from baseline_models.danq import DanQ, RecurrentHead


def test_dropout_rates_are_the_published_ones() -> None:
    rates = [m.p for m in DanQ(38, 1).modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.2, 0.5]


def test_lstm_reads_positions_as_time_steps_in_both_directions() -> None:
    """A change in one pool window changes later forward states and earlier backward states."""
    torch.manual_seed(0)
    head = RecurrentHead(5 * 13, 1).eval()
    x = torch.rand(1, 320, 5 * 13)
    changed = x.clone()
    changed[:, :, 2 * 13 : 3 * 13] += 1
    with torch.no_grad():
        before, _ = head.lstm(head.pool(x).transpose(1, 2))
        after, _ = head.lstm(head.pool(changed).transpose(1, 2))
    moved = (before != after)[0]
    assert moved[:, :320].any(1).tolist() == [False, False, True, True, True]
    assert moved[:, 320:].any(1).tolist() == [True, True, True, False, False]


def test_an_incomplete_last_pool_window_is_ignored() -> None:
    torch.manual_seed(0)
    network = DanQ(25 + 13 + 12, 2).eval()
    x = torch.randn(1, 4, 50)
    changed = x.clone()
    changed[:, :, 38:] = 7
    with torch.no_grad():
        assert torch.equal(network(x), network(changed))
        changed[:, :, 37] = 7
        assert not torch.equal(network(x), network(changed))
