import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import Clipping
from generalNAS_tools.training.train_step import (
    bce_loss,
    slowness,
    weight_loss,
    weight_step,
)

CPU = torch.device("cpu")
OPTIONS = LoopOptions(2, 1, 0, CPU)
# T = 3 time steps, one sequence, H = 2: the squared changes are 1, 4, 0, 9.
OUTPUTS = torch.tensor([[[0.0, 1.0]], [[1.0, 3.0]], [[1.0, 0.0]]])


def output(logits, rhn_outputs=None):
    return NetworkOutput(torch.as_tensor(logits), rhn_outputs)


def test_slowness_by_hand():
    assert slowness(output([0.0], OUTPUTS)).item() == pytest.approx(14 / 4)


@pytest.mark.parametrize("outputs", [None, OUTPUTS[:1]])
def test_slowness_needs_two_time_steps(outputs):
    assert slowness(output([0.0], outputs)) == 0.0


def test_the_loss_is_cross_entropy_over_all_targets():
    logits = torch.tensor([[0.3, -2.0, 1.0], [0.0, 4.0, -0.5]])
    labels = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    expected = binary_cross_entropy(logits.sigmoid(), labels)
    batch = Batch(torch.empty(0), labels)
    torch.testing.assert_close(bce_loss(output(logits), batch), expected)
    total, loss = weight_loss(output(logits, OUTPUTS), batch, 0.1)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(total, expected + 0.1 * 3.5)
    torch.testing.assert_close(weight_loss(output(logits, OUTPUTS), batch, 0.0)[0], expected)


def test_large_logits_stay_finite():
    batch = Batch(torch.empty(0), torch.tensor([[0.0, 1.0]]))
    assert bce_loss(output([[300.0, -300.0]]), batch).item() == pytest.approx(300.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_loss_is_at_least_float32(dtype):
    batch = Batch(
        torch.empty(0), torch.tensor([[0.0, 1.0]], dtype=torch.promote_types(dtype, torch.float32))
    )
    loss = bce_loss(output(torch.tensor([[1.0, 2.0]], dtype=dtype)), batch)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0]]))

    def forward(self, x):
        return NetworkOutput(x @ self.weight, None)


@pytest.mark.parametrize(("largest", "factor"), [(None, 1.0), (10.0, 1.0), (0.125, None)])
def test_a_step_by_hand(largest, factor):
    """d bce / d w of one sequence x = 1.5 with label 0 is x · sigmoid(x w)."""
    network = Line()
    network.weight.grad = torch.tensor([[99.0]])  # an older gradient counts for nothing
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    batch = Batch(torch.tensor([[1.5]]), torch.tensor([[0.0]]))
    gradient = 1.5 * torch.tensor(3.0).sigmoid().item()
    expected = 2.0 - 0.1 * (gradient if factor else largest)
    clipping = None if largest is None else Clipping(largest, 0.0, 0.0)
    options = LoopOptions(1, 1, 0, CPU, clipping=clipping)
    loss, logits = weight_step(network, network, optimizer, batch=batch, options=options)
    assert network.weight.item() == pytest.approx(expected, rel=1e-5)
    assert loss.item() == pytest.approx(torch.tensor(3.0).exp().log1p().item())
    assert logits.item() == 3.0
    assert not loss.requires_grad
    assert not logits.requires_grad
