"""One step of the weights: loss, gradients, clipping, update.

Dimension letters: B batch, L sequence length (bp), T RHN time steps, H RHN width.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.training.optimizers import Clipping

Forward = Callable[[Tensor], NetworkOutput]


@dataclass(frozen=True)
class LoopOptions:
    """What every epoch needs to know.

    Attributes:
        batch_size: sequences a step.
        num_steps: steps of an epoch, at most.
        seed: of the order of the sequences.
        device: where the network is.
        amp: bfloat16 matrix work.
        beta: weight of the slowness penalty on the RHN's outputs.
        clipping: of the gradients; None for none.
        report_freq: steps between progress lines.
    """

    batch_size: int
    num_steps: int
    seed: int
    device: torch.device
    amp: bool = False
    beta: float = 0.0
    clipping: Clipping | None = None
    report_freq: int = 1000

    @classmethod
    def of(cls, args: argparse.Namespace, device: torch.device) -> "LoopOptions":
        """The options that the flags of any network ask for: no penalty, no clipping."""
        return cls(
            args.batch_size,
            args.num_steps,
            args.seed,
            device,
            amp=args.amp,
            report_freq=args.report_freq,
        )

    @classmethod
    def of_searched(cls, args: argparse.Namespace, device: torch.device) -> "LoopOptions":
        """The options that the flags of a searched network ask for."""
        return replace(cls.of(args, device), beta=args.beta, clipping=Clipping.of(args))

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)


def bce_loss(output: NetworkOutput, batch: Batch) -> Tensor:
    """Binary cross-entropy over all targets, from logits, in float32 or wider."""
    logits = output.logits
    if logits.dtype == torch.bfloat16:
        logits = logits.float()
    return binary_cross_entropy_with_logits(logits, batch.labels)


def slowness(output: NetworkOutput) -> Tensor | float:
    """mean((h_{t+1} − h_t)²) of the RHN outputs (T, B, H), as in Merity et al. 2017."""
    outputs = output.rhn_outputs
    if outputs is None or len(outputs) < 2:
        return 0.0
    return (outputs[1:] - outputs[:-1]).pow(2).mean()


def weight_loss(output: NetworkOutput, batch: Batch, beta: float) -> tuple[Tensor, Tensor]:
    """What a weight step minimises, and the cross-entropy alone."""
    loss = bce_loss(output, batch)
    return (loss + beta * slowness(output) if beta else loss), loss


def weight_step(
    network: nn.Module,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    *,
    batch: Batch,
    options: LoopOptions,
) -> tuple[Tensor, Tensor]:
    """One step of the weights; gives the cross-entropy and the logits, both detached."""
    with options.autocast():
        output = forward(batch.x)
    total, loss = weight_loss(output, batch, options.beta)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    if options.clipping is not None:
        options.clipping.clip(network)
    optimizer.step()
    return loss.detach(), output.logits.detach()
