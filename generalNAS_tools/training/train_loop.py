"""Training and evaluation of any network: epochs and predictions.

What varies between the algorithms comes in as an argument: the forward pass (which mixing
weights, which subnet) and what is done before each weight step (an alpha step, say).

Dimension letters: B batch, L sequence length (bp), T RHN time steps, H RHN width.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generalNAS_tools.data.deepsea_data import (
    Batch,
    PackedSplit,
    batches,
    epoch_indices,
    even_batches,
)
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.runs.options import LoopOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.training.metrics import StreamingF1, mean_areas
from generalNAS_tools.training.train_step import Forward, bce_loss, weight_step


class EpochMetrics(NamedTuple):
    """What an epoch reached.

    Attributes:
        loss: mean cross-entropy.
        f1: weighted F1 at threshold 0.5.
        auroc: mean over the targets with both classes; None if there is none, or not measured.
        auprc: likewise.
    """

    loss: float
    f1: float
    auroc: float | None = None
    auprc: float | None = None


class Meter:
    """Mean loss and F1, summed on the device and read once."""

    def __init__(self, num_targets: int, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.count = 0
        self.f1 = StreamingF1(num_targets, device)

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Adds a batch; `loss` is its mean."""
        self.loss += loss.detach().double() * len(labels)
        self.count += len(labels)
        self.f1.update(logits.detach(), labels)

    def mean_loss(self) -> float:
        """Mean loss so far; waits for the device."""
        return self.loss.item() / self.count

    def figures(self) -> EpochMetrics:
        """What was measured; waits for the device."""
        return EpochMetrics(self.mean_loss(), self.f1.compute())

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {"loss": self.loss, "count": self.count, "f1": self.f1.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from sums taken before."""
        self.loss.copy_(state["loss"])
        self.count = state["count"]
        self.f1.load_state_dict(state["f1"])


def figures_row(train: EpochMetrics, valid: EpochMetrics | None) -> dict[str, float | None]:
    """The history columns of an epoch."""
    return {
        "train_loss": train.loss,
        "acc_train": train.f1,
        "valid_loss": valid.loss if valid else None,
        "acc_valid": valid.f1 if valid else None,
        "valid_auroc": valid.auroc if valid else None,
        "valid_auprc": valid.auprc if valid else None,
    }


def train_epoch(
    network: nn.Module,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    *,
    split: PackedSplit,
    run: RunDirectory,
    options: LoopOptions,
    before_step: Callable[[int, int, Batch], None] | None = None,
) -> EpochMetrics:
    """Trains for an epoch, or for the rest of one that a signal interrupted.

    Args:
        network: what is trained; set to training mode.
        forward: one-hot DNA → output.
        optimizer: of the weights.
        split: the training set; its order depends on the seed and the epoch alone.
        run: gives the epoch's number, keeps its state when a signal comes.
        options: batch size, number of steps, clipping.
        before_step: called with epoch, step and batch before each weight step.
    """
    network.train()
    epoch = len(run.history)
    order = epoch_indices(split.num_sequences, seed=options.seed, epoch=epoch)
    parts = batches(order, options.batch_size, drop_last=True)[: options.num_steps]
    steps = len(parts)
    meter, start = Meter(split.num_targets, options.device), 0
    if run.partial is not None:
        start = run.partial["step"]
        meter.load_state_dict(run.partial["meter"])
    for step in _with_bar(range(start, steps), f"epoch {epoch + 1}", steps):
        batch = split.batch(parts[step], options.device)
        if before_step is not None:
            before_step(epoch, step, batch)
        loss, logits = weight_step(network, forward, optimizer, batch=batch, options=options)
        meter.update(loss, logits, batch.labels)
        if (step + 1) % options.report_freq == 0 and step + 1 < steps:
            run.report_step(step + 1, steps, meter.mean_loss())
        run.stop_if_asked({"step": step + 1, "meter": meter.state_dict()})
    return meter.figures()


def evaluate(
    network: nn.Module,
    forward: Forward,
    *,
    split: PackedSplit,
    run: RunDirectory | None,
    options: LoopOptions,
    areas: bool = True,
) -> EpochMetrics:
    """Loss, F1 and areas in evaluation mode on up to --num_steps batches, always the same ones.

    Args:
        network: what is evaluated; nothing of it changes.
        forward: one-hot DNA → output.
        split: the validation set.
        run: asked whether to stop.
        options: batch size and number of batches, and how a supernet's states are normalised.
        areas: measure AUROC and AUPRC too.
    """
    network.eval()
    meter = Meter(split.num_targets, options.device)
    logits, labels = [], []
    parts = _validation_batches(split, options)
    with rhn_batch_statistics(network, options.batch_statistics):
        for batch, output in _passes(forward, split, parts, options, "validation"):
            meter.update(bce_loss(output, batch), output.logits, batch.labels)
            if areas:
                logits.append(output.logits.float())
                labels.append(batch.labels > 0)
            if run is not None:
                run.stop_if_asked()
    figures = meter.figures()
    if areas and math.isfinite(figures.loss):
        truth, scores = torch.cat(labels).cpu().numpy(), torch.cat(logits).cpu().numpy()
        means = mean_areas(truth, scores)
        figures = figures._replace(auroc=means[0], auprc=means[1])
    return figures


def _validation_batches(split: PackedSplit, options: LoopOptions) -> Sequence[Tensor]:
    """The numbers of the sequences, batch by batch.

    Batches whose statistics are used are in random order, for a file may be sorted, and none is
    much smaller or larger than --batch_size: what doesn't fill one is shared by the last ones.
    """
    count = min(split.num_sequences, options.num_steps * options.batch_size)
    chosen = torch.arange(split.num_sequences)
    if options.batch_statistics or count < split.num_sequences:
        chosen = epoch_indices(split.num_sequences, seed=options.seed, epoch=0)[:count]
    if not options.batch_statistics:
        return batches(chosen, options.batch_size, drop_last=False)
    return even_batches(chosen, options.batch_size)


@contextlib.contextmanager
def rhn_batch_statistics(network: nn.Module, use: bool) -> Iterator[None]:
    """Within the block, a supernet's RHN in evaluation mode normalises by the batch, if asked to.

    Its running statistics average over states whose variances differ by orders of magnitude.
    """
    cells = [module for module in network.modules() if isinstance(module, SearchRHN)]
    for cell in cells:
        cell.batch_statistics = use
    try:
        yield
    finally:
        for cell in cells:
            cell.batch_statistics = False


def predict(
    network: nn.Module,
    forward: Forward,
    *,
    split: PackedSplit,
    options: LoopOptions,
    run: RunDirectory | None = None,
) -> tuple[NDArray[np.float32], float]:
    """Probabilities (N, targets) for every sequence in order, and the mean loss."""
    network.eval()
    predictions = np.empty((split.num_sequences, split.num_targets), dtype=np.float32)
    meter, done = Meter(split.num_targets, options.device), 0
    parts = batches(torch.arange(split.num_sequences), options.batch_size, drop_last=False)
    for batch, output in _passes(forward, split, parts, options, "test"):
        meter.update(bce_loss(output, batch), output.logits, batch.labels)
        size = len(batch.labels)
        predictions[done : done + size] = output.logits.float().sigmoid().cpu().numpy()
        done += size
        if run is not None:
            run.stop_if_asked()
    return predictions, meter.mean_loss()


def _passes(
    forward: Forward,
    split: PackedSplit,
    parts: Sequence[Tensor],
    options: LoopOptions,
    name: str,
) -> Iterator[tuple[Batch, NetworkOutput]]:
    """Forward passes without gradients."""
    with torch.inference_mode():
        for step in _with_bar(range(len(parts)), name, len(parts)):
            batch = split.batch(parts[step], options.device)
            with options.autocast():
                output = forward(batch.x)
            yield batch, output


def _with_bar(items: range, name: str, total: int) -> Iterator[int]:
    """A progress bar, silent when stderr is no terminal."""
    first = total - len(items)
    yield from progress_bar(items, desc=name, total=total, initial=first, leave=False, unit="step")
