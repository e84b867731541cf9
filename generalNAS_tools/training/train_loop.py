"""Training and evaluation of any network: epochs and predictions.

What varies between the algorithms comes in as an argument: the forward pass (which mixing
weights, which subnet) and what is done before each weight step (an alpha step, say).

Dimension letters: B batch, L sequence length (bp), T RHN time steps, H RHN width.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generalNAS_tools.data.deepsea_data import Batch, PackedSplit, batches, epoch_indices
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.runs.options import LoopOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.training.metrics import StreamingF1
from generalNAS_tools.training.train_step import Forward, bce_loss, weight_step


class EpochMetrics(NamedTuple):
    """Mean loss and weighted F1 of an epoch."""

    loss: float
    f1: float


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
    run.begin_epoch()
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
) -> EpochMetrics:
    """Loss and F1 in evaluation mode on up to --num_steps batches, always the same ones."""
    network.eval()
    meter = Meter(split.num_targets, options.device)
    count = min(split.num_sequences, options.num_steps * options.batch_size)
    chosen = torch.arange(split.num_sequences)
    if count < split.num_sequences:
        chosen = epoch_indices(split.num_sequences, seed=options.seed, epoch=0)[:count]
    for batch, output in _passes(forward, split, chosen, options, "validation"):
        meter.update(bce_loss(output, batch), output.logits, batch.labels)
        if run is not None:
            run.stop_if_asked()
    return meter.figures()


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
    chosen = torch.arange(split.num_sequences)
    for batch, output in _passes(forward, split, chosen, options, "test"):
        meter.update(bce_loss(output, batch), output.logits, batch.labels)
        size = len(batch.labels)
        predictions[done : done + size] = output.logits.float().sigmoid().cpu().numpy()
        done += size
        if run is not None:
            run.stop_if_asked()
    return predictions, meter.mean_loss()


def _passes(
    forward: Forward, split: PackedSplit, chosen: Tensor, options: LoopOptions, name: str
) -> Iterator[tuple[Batch, NetworkOutput]]:
    """Forward passes without gradients; a short last batch is kept."""
    parts = batches(chosen, options.batch_size, drop_last=False)
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
