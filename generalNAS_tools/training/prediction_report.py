"""What a test writes: loss, labels, predictions, and the metrics as JSON."""

import logging

from torch import nn

from generalNAS_tools.data.deepsea_data import PackedSplit, is_reverse_complement_doubled
from generalNAS_tools.files.model_files import FinalModel
from generalNAS_tools.runs.options import LoopOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.training.metrics import (
    average_reverse_complement,
    format_metrics,
    score_predictions,
)
from generalNAS_tools.training.train_loop import predict
from generalNAS_tools.training.train_step import Forward

log = logging.getLogger(__name__)


def report_test(
    network: nn.Module,
    forward: Forward,
    *,
    split: PackedSplit,
    files: RunFiles,
    options: LoopOptions,
    average_strands: bool,
    run: RunDirectory | None = None,
) -> None:
    """Predicts a whole test set, scores it, logs the figures and writes everything.

    Args:
        network: what is tested.
        forward: one-hot DNA → output.
        split: the test set.
        files: where to.
        options: batch size and device.
        average_strands: average the probabilities of each sequence's two strands. A set whose
            second half is the first one's reverse complement has both already.
        run: asked whether to stop.
    """
    doubled = average_strands and is_reverse_complement_doubled(split)
    split.to_device(options.device)
    predictions, loss = predict(network, forward, split=split, options=options, run=run)
    labels = split.all_labels()
    if doubled:
        predictions = average_reverse_complement(predictions, labels)
        labels = labels[: len(predictions)]
    elif average_strands:
        others, other_loss = predict(
            network, forward, split=split, options=options, run=run, other_strand=True
        )
        predictions += others
        predictions /= 2
        loss = (loss + other_loss) / 2
    metrics = score_predictions(labels, predictions)
    files.write_array("test_loss", loss)
    files.write_array("labels_test", labels)
    files.write_array("predictions_test", predictions)
    files.write_json("metrics_test", {"test_loss": loss, **metrics})
    log.info("test_loss %.4f\n%s", loss, format_metrics(metrics))


def check_fit(model: FinalModel, split: PackedSplit, seq_size: int | None) -> None:
    """Checks a model's frame, the test set and --seq_size against each other.

    Raises:
        ValueError: naming what differs.
    """
    options = model.options
    for name, expected, found, where in (
        ("sequence length", options.seq_size, split.seq_size, split.path),
        ("number of targets", options.num_targets, split.num_targets, split.path),
        ("sequence length", options.seq_size, seq_size, "--seq_size"),
    ):
        if found is not None and expected != found:
            raise ValueError(f"{where}: {name} {found}; the model {model.path} takes {expected}")
