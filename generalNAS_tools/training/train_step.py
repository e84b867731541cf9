"""One step of the weights: loss, gradients, clipping, update.

Dimension letters: B batch, L sequence length (bp), T RHN time steps, H RHN width.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from generalNAS_tools.data.deepsea_data import Batch, PackedSplit
from generalNAS_tools.files import ranks
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.training.optimizers import clip_gradients

Forward = Callable[[Tensor], NetworkOutput]


def rank_batch(split: PackedSplit, indices: Tensor, device: torch.device) -> Batch:
    """This rank's share of the batch of some sequences.

    Raises:
        ValueError: it is too small for BatchNorm.
    """
    ranks.check_shares(len(indices))
    own = ranks.share(indices)
    return split.batch(own, device)._replace(share=len(own) / len(indices))


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
    """One step of the weights.

    Returns:
        The cross-entropy of the whole batch, and the logits of this rank's share, both detached.
    """
    with options.autocast():
        output = forward(batch.x)
    total, loss = weight_loss(output, batch, options.beta)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    loss = loss.detach()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    ranks.add_up([*gradients, loss], batch.share)
    if options.clipping is not None:
        clip_gradients(network, options.clipping)
    optimizer.step()
    return loss, output.logits.detach()
