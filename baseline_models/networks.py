"""The baselines by name: their networks and the settings they are trained with."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn, optim

from baseline_models.danq import DanQ
from baseline_models.deepsea import DeepSEA
from baseline_models.ncnet import NCNetBRR, NCNetRR


def _sgd(network: nn.Module, learning_rate: float) -> optim.Optimizer:
    """DeepSEA's optimizer."""
    return optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-7)


def _rmsprop(network: nn.Module, learning_rate: float) -> optim.Optimizer:
    """DanQ's optimizer: RMSprop with Keras's decay of the running mean."""
    return optim.RMSprop(network.parameters(), lr=learning_rate, alpha=0.9)


class Baseline(NamedTuple):
    """A baseline: constructor of its network, of its optimizer, and its learning rate."""

    network: Callable[[int, int], nn.Module]
    optimizer: Callable[[nn.Module, float], optim.Optimizer]
    learning_rate: float


# DeepSEA's published learning rate could not be confirmed; 0.1 is ours. The loss is a
# mean over all targets, so its gradients are small and a rate fit for a sum would hardly move.
BASELINES = {
    "DeepSEA": Baseline(DeepSEA, _sgd, 0.1),
    "DanQ": Baseline(DanQ, _rmsprop, 1e-3),
    "NCNet_RR": Baseline(NCNetRR, _rmsprop, 1e-3),
    "NCNet_bRR": Baseline(NCNetBRR, _rmsprop, 1e-3),
}


def _baseline(name: str) -> Baseline:
    if name not in BASELINES:
        raise ValueError(f"--model {name!r}: no such baseline; expected {', '.join(BASELINES)}")
    return BASELINES[name]


def build_baseline(name: str, *, seq_size: int, num_targets: int) -> nn.Module:
    """Builds a baseline that maps one-hot DNA (B, 4, L) to logits (B, num_targets).

    Args:
        name: one of `BASELINES`.
        seq_size: sequence length L in bp.
        num_targets: number of outputs.

    Raises:
        ValueError: the name is unknown, or the sequence is too short for the layers.
    """
    return _baseline(name).network(seq_size, num_targets)


def baseline_optimizer(
    name: str, network: nn.Module, *, learning_rate: float | None = None
) -> optim.Optimizer:
    """Builds the optimizer that a baseline is trained with.

    Args:
        name: one of `BASELINES`.
        network: the network whose weights it updates.
        learning_rate: step size; None takes the baseline's own.

    Raises:
        ValueError: the name is unknown, or the learning rate isn't above 0.
    """
    baseline = _baseline(name)
    if learning_rate is None:
        learning_rate = baseline.learning_rate
    if not learning_rate > 0:
        raise ValueError(f"--learning_rate {learning_rate}: expected a number above 0")
    return baseline.optimizer(network, learning_rate)
