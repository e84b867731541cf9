"""Training and evaluation of any network: epochs and predictions.

What varies between the algorithms comes in as an argument: the forward pass (which mixing
weights, which subnet) and what is done before each weight step (an alpha step, say).

Dimension letters: B batch, L sequence length (bp), T RHN time steps, H RHN width.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

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
    random_strands,
    reverse_complement,
)
from generalNAS_tools.files import ranks
from generalNAS_tools.files.checkpoints import take_first_random_states
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.training.captured_step import Step, captured
from generalNAS_tools.training.epoch_metrics import EpochMetrics, Meter
from generalNAS_tools.training.metrics import mean_areas
from generalNAS_tools.training.train_step import Forward, bce_loss, rank_batch, weight_step


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
    epoch = run.begin_epoch()
    parts, strands = _order(split, options, epoch)
    steps = len(parts)
    meter, start = Meter(split.num_targets, options.device), 0
    if run.partial is not None:
        start = run.partial["step"]
        meter.load_state_dict(run.partial["meter"])
    step_weights = captured(
        lambda batch: weight_step(network, forward, optimizer, batch=batch, options=options),
        [network, optimizer],
        options,
    )
    for step in _with_bar(range(start, steps), f"epoch {epoch + 1}"):
        ranks.seed_others(options.seed, epoch, step)
        batch = rank_batch(split, parts[step], options.device)
        if strands is not None:
            batch = _on_strands(batch, ranks.share(strands[step]))
        if before_step is not None:
            before_step(epoch, step, batch)
        loss, logits = step_weights(batch)
        meter.update(loss, logits, batch.labels, batch.share)
        if (step + 1) % options.report_freq == 0 and step + 1 < steps:
            run.report_step(step + 1, steps, meter.mean_loss())
        run.stop_if_asked({"step": step + 1, "meter": meter.state_dict()})
    ranks.copy_first([buffer for buffer in network.buffers() if buffer.is_floating_point()])
    take_first_random_states(options.device)
    return meter.figures()


def _order(
    split: PackedSplit, options: LoopOptions, epoch: int
) -> tuple[Sequence[Tensor], Sequence[Tensor] | None]:
    """The numbers of an epoch's sequences, and on the device which to read reversed, by batch."""
    order = epoch_indices(split.num_sequences, seed=options.seed, epoch=epoch)
    parts = batches(order, options.batch_size, drop_last=True)[: options.num_steps]
    if not options.rc_augment:
        return parts, None
    strands = random_strands(split.num_sequences, seed=options.seed, epoch=epoch)
    return parts, strands[order].to(options.device).split(options.batch_size)


def _on_strands(batch: Batch, other: Tensor) -> Batch:
    """The batch with the sequences that are marked read on their other strand."""
    return batch._replace(x=torch.where(other[:, None, None], reverse_complement(batch.x), batch.x))


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
    logits = [torch.empty(0, split.num_targets, device=options.device)]
    labels = [logits[0].bool()]  # a rank may have no batch
    parts = _validation_batches(split, options)
    with rhn_batch_statistics(network, options.batch_statistics):
        for batch, output in _passes(forward, split, parts, options, "validation", run):
            meter.update(bce_loss(output, batch), output.logits, batch.labels)
            if areas:
                logits.append(output.logits.float())
                labels.append(batch.labels > 0)
    meter.add_up()
    figures = meter.figures()
    if areas and math.isfinite(figures.loss):
        truth = ranks.gather(torch.cat(labels).cpu()).numpy()
        means = mean_areas(truth, ranks.gather(torch.cat(logits).cpu()).numpy())
        figures = figures._replace(auroc=means[0], auprc=means[1])
    return EpochMetrics(*ranks.value_of_first(figures))


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
    other_strand: bool = False,
) -> tuple[NDArray[np.float32], float]:
    """Probabilities (N, targets) for every sequence in order, and the mean loss.

    Args:
        network: set to evaluation mode.
        forward: one-hot DNA → output.
        split: the set.
        options: batch size.
        run: asked whether to stop.
        other_strand: read the sequences' reverse complements.
    """
    network.eval()
    parts = batches(torch.arange(split.num_sequences), options.batch_size, drop_last=False)
    own = sum(map(len, ranks.share(parts)))
    predictions = np.empty((own, split.num_targets), dtype=np.float32)
    meter, done = Meter(split.num_targets, options.device), 0
    read = (lambda x: forward(reverse_complement(x))) if other_strand else forward
    for batch, output in _passes(read, split, parts, options, "test", run):
        meter.update(bce_loss(output, batch), output.logits, batch.labels)
        done += len(batch.labels)
        predictions[done - len(batch.labels) : done] = output.logits.float().sigmoid().cpu().numpy()
    meter.add_up()
    return ranks.gather(torch.from_numpy(predictions)).numpy(), meter.mean_loss()


def captured_logits(forward: Forward, options: LoopOptions) -> Step:
    """The logits of many batches of one evaluation, as `captured`."""

    def logits(batch: Batch) -> tuple[Tensor, ...]:
        with options.autocast():
            return (forward(batch.x).logits,)

    return captured(logits, [], options)


def _passes(
    forward: Forward,
    split: PackedSplit,
    parts: Sequence[Tensor],
    options: LoopOptions,
    name: str,
    run: RunDirectory | None,
) -> Iterator[tuple[Batch, NetworkOutput]]:
    """Forward passes of this rank's batches without gradients; asks after each whether to stop."""
    own = ranks.share(parts)
    read = captured_logits(forward, options)
    with torch.inference_mode():
        for step in _with_bar(range(-(-len(parts) // ranks.count())), name):
            if step < len(own):  # the last ranks may have a batch less, but all ask
                batch = split.batch(own[step], options.device)
                yield batch, NetworkOutput(read(batch)[0], None)
            if run is not None:
                run.stop_if_asked()


def _with_bar(steps: range, name: str) -> Iterator[int]:
    """A progress bar, silent when stderr is no terminal."""
    first, total = steps.start, steps.stop
    yield from progress_bar(steps, desc=name, total=total, initial=first, leave=False, unit="step")
