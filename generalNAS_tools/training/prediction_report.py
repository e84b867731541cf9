"""What a test writes: loss, labels, predictions, and the metrics as JSON."""

import logging

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.data.deepsea_data import PackedSplit, is_reverse_complement_doubled
from generalNAS_tools.files.model_files import FinalModel
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.training.metrics import (
    average_reverse_complement,
    format_metrics,
    score_predictions,
)

log = logging.getLogger(__name__)


def write_test_report(
    files: RunFiles,
    split: PackedSplit,
    predictions: NDArray[np.float32],
    *,
    loss: float,
    average_strands: bool = False,
) -> None:
    """Scores predictions (N, targets) of a test set, logs the figures and writes everything.

    Args:
        files: where to.
        split: the test set.
        predictions: probabilities, in the set's order.
        loss: mean cross-entropy.
        average_strands: average each sequence with its reverse complement in the second half.
    """
    labels = split.all_labels()
    if average_strands:
        predictions = average_reverse_complement(predictions, labels)
        labels = labels[: len(predictions)]
    metrics = score_predictions(labels, predictions)
    files.write_array("test_loss", loss)
    files.write_array("labels_test", labels)
    files.write_array("predictions_test", predictions)
    files.write_json("metrics_test", {"test_loss": loss, **metrics})
    log.info("test_loss %.4f\n%s", loss, format_metrics(metrics))


def check_strands(split: PackedSplit) -> None:
    """Checks that a test set holds the reverse complement of every sequence in its second half.

    Raises:
        ValueError: it doesn't, so the strands can't be averaged.
    """
    if not is_reverse_complement_doubled(split):
        raise ValueError(
            f"--average_reverse_complement: the second half of {split.path} is not the reverse "
            "complement of the first"
        )


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
