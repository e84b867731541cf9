import math
from argparse import Namespace

import torch

from generalNAS_tools.optimizers import cosine_schedule, step_schedule


def test_the_cosine_ends_at_its_minimum_and_stays_there():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.2)
    schedule = cosine_schedule(optimizer, Namespace(epochs=4, learning_rate_min=0.01))
    rates = []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        step_schedule(schedule)
    for epoch, rate in enumerate(rates[:4]):
        assert math.isclose(rate, 0.01 + 0.19 * (1 + math.cos(math.pi * epoch / 4)) / 2)
    assert rates[4:] == [0.01] * 5
