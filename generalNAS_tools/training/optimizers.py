"""The weight optimizer of searched networks, its schedule, and gradient clipping."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.runs.options import AdamWOptions, Clipping, WeightOptions


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of everything but the RHN, and of the RHN."""
    others: list[nn.Parameter] = []
    rhn: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (rhn if "rhn" in name.split(".") else others).append(parameter)
    return others, rhn


def weight_optimizer(
    network: nn.Module, options: WeightOptions, *, fused: bool = True
) -> torch.optim.Optimizer:
    """The optimizer of --optimizer.

    SGD has two groups: all but the RHN with momentum, the RHN without.
    """
    if options.optimizer == "adamw":
        return adamw(network, options, fused=fused)
    others, rhn = split_parameters(network)
    groups = [
        {
            "params": others,
            "lr": options.cnn_lr,
            "momentum": options.momentum,
            "weight_decay": options.cnn_weight_decay,
        },
        {
            "params": rhn,
            "lr": options.rhn_lr,
            "momentum": 0.0,
            "weight_decay": options.rhn_weight_decay,
        },
    ]
    return torch.optim.SGD(groups, lr=options.cnn_lr, fused=fused)


def adamw(
    network: nn.Module, options: AdamWOptions, *, fused: bool = True
) -> torch.optim.Optimizer:
    """AdamW, one rate for all weights."""
    rate, decay = options.adamw_lr, options.adamw_weight_decay
    return torch.optim.AdamW(network.parameters(), rate, weight_decay=decay, fused=fused)


def cosine_schedule(
    optimizer: torch.optim.Optimizer, options: WeightOptions, *, epochs: int
) -> CosineAnnealingLR:
    """Cosine annealing, one step an epoch, over `epochs`: SGD's to --learning_rate_min."""
    end = options.learning_rate_min if options.optimizer == "sgd" else 0.0
    return CosineAnnealingLR(optimizer, epochs, eta_min=end)


def step_schedule(schedule: CosineAnnealingLR) -> None:
    """Ends an epoch; a run longer than the schedule stays at its minimum.

    torch's schedule would rise again.
    """
    if schedule.last_epoch < schedule.T_max:
        schedule.step()


def clip_gradients(network: nn.Module, clipping: Clipping) -> None:
    """Scales the gradients in place where their norm is larger; no host sync."""
    others, rhn = split_parameters(network)
    if clipping.together is not None:
        _clip(others + rhn, clipping.together)
    else:
        _clip(others, clipping.others)
        _clip(rhn, clipping.rhn)


def _clip(parameters: Iterable[nn.Parameter], largest: float) -> None:
    nn.utils.clip_grad_norm_(parameters, largest, foreach=True)
