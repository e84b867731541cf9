"""The weight optimizer of searched networks, its schedule, and gradient clipping."""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of everything but the RHN, and of the RHN."""
    others: list[nn.Parameter] = []
    rhn: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (rhn if "rhn" in name.split(".") else others).append(parameter)
    return others, rhn


def weight_optimizer(
    network: nn.Module, args: argparse.Namespace, *, fused: bool = True
) -> torch.optim.SGD:
    """SGD with two groups: all but the RHN with momentum, the RHN without."""
    others, rhn = split_parameters(network)
    groups = [
        {
            "params": others,
            "lr": args.cnn_lr,
            "momentum": args.momentum,
            "weight_decay": args.cnn_weight_decay,
        },
        {
            "params": rhn,
            "lr": args.rhn_lr,
            "momentum": 0.0,
            "weight_decay": args.rhn_weight_decay,
        },
    ]
    return torch.optim.SGD(groups, lr=args.cnn_lr, fused=fused)


def cosine_schedule(
    optimizer: torch.optim.Optimizer, args: argparse.Namespace, *, epochs: int | None = None
) -> CosineAnnealingLR:
    """Cosine annealing, one step an epoch, to --learning_rate_min over --epochs."""
    return CosineAnnealingLR(optimizer, epochs or args.epochs, eta_min=args.learning_rate_min)


def step_schedule(schedule: CosineAnnealingLR) -> None:
    """Ends an epoch; a run longer than the schedule stays at its minimum.

    torch's schedule would rise again.
    """
    if schedule.last_epoch < schedule.T_max:
        schedule.step()


@dataclass(frozen=True)
class Clipping:
    """Largest gradient norms.

    Attributes:
        together: for all weights as one vector; None to clip CNN and RHN apart.
        others: for all but the RHN.
        rhn: for the RHN.
    """

    together: float | None
    others: float
    rhn: float

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Clipping":
        """The clipping that the flags ask for."""
        return cls(args.clip if args.one_clip else None, args.conv_clip, args.rhn_clip)

    def clip(self, network: nn.Module) -> None:
        """Scales the gradients in place where their norm is larger; no host sync."""
        others, rhn = split_parameters(network)
        if self.together is not None:
            _clip(others + rhn, self.together)
        else:
            _clip(others, self.others)
            _clip(rhn, self.rhn)


def _clip(parameters: Iterable[nn.Parameter], largest: float) -> None:
    nn.utils.clip_grad_norm_(parameters, largest, foreach=True)
