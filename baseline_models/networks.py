"""The baselines by name: their networks and the settings they are trained with."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn, optim

from baseline_models import danq, deepsea
from baseline_models.ncnet import NCNetBRR, NCNetRR


def _sgd(network: nn.Module, learning_rate: float) -> optim.Optimizer:
    """DeepSEA's optimizer."""
    return optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-7)


def _rmsprop(network: nn.Module, learning_rate: float) -> optim.Optimizer:
    """DanQ's optimizer: RMSprop with Keras's decay of the running mean."""
    return optim.RMSprop(network.parameters(), lr=learning_rate, alpha=0.9)


class Baseline(NamedTuple):
    """A baseline.

    Attributes:
        network: builds it for a sequence length and a number of targets.
        shortest: the shortest sequence that leaves every layer something to read, in bp.
        optimizer: builds the optimizer that trains it.
        learning_rate: its own.
    """

    network: Callable[[int, int], nn.Module]
    shortest: int
    optimizer: Callable[[nn.Module, float], optim.Optimizer]
    learning_rate: float


# DeepSEA's published learning rate could not be confirmed; 0.1 is ours. The loss is a
# mean over all targets, so its gradients are small and a rate fit for a sum would hardly move.
BASELINES = {
    "DeepSEA": Baseline(deepsea.DeepSEA, deepsea.SHORTEST, _sgd, 0.1),
    "DanQ": Baseline(danq.DanQ, danq.SHORTEST, _rmsprop, 1e-3),
    "NCNet_RR": Baseline(NCNetRR, danq.SHORTEST, _rmsprop, 1e-3),
    "NCNet_bRR": Baseline(NCNetBRR, danq.SHORTEST, _rmsprop, 1e-3),
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
        ValueError: the name is unknown, the sequence is too short for the layers, or there is
            no target.
    """
    baseline = _baseline(name)
    if seq_size < baseline.shortest:
        raise ValueError(
            f"sequences of {seq_size} bp: {name} needs sequences of at least {baseline.shortest} bp"
        )
    if num_targets < 1:
        raise ValueError(f"num_targets {num_targets}: {name} needs at least 1 target")
    return baseline.network(seq_size, num_targets)


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
