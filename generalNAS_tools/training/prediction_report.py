"""What a test writes: loss, labels, predictions, and the metrics as JSON."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from generalNAS_tools.data.deepsea_data import PackedSplit, is_reverse_complement_doubled
from generalNAS_tools.data.target_names import check_names, target_names
from generalNAS_tools.files import ranks
from generalNAS_tools.files.model_files import FinalModel
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.training.metrics import format_metrics, score_predictions
from generalNAS_tools.training.train_loop import predict
from generalNAS_tools.training.train_step import Forward

log = logging.getLogger(__name__)


class Predictions(NamedTuple):
    """What a network says of a test set.

    Attributes:
        labels: (N, targets).
        probabilities: (N, targets).
        loss: mean cross-entropy.
        targets: their names, where they are known.
    """

    labels: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    loss: float
    targets: Sequence[str] | None = None


def predict_test_set(
    network: nn.Module,
    forward: Forward,
    *,
    split: PackedSplit,
    options: LoopOptions,
    average_strands: bool,
    run: RunDirectory | None = None,
) -> Predictions:
    """Predicts a whole test set; of several ranks, rank 0 has it in the end and the others nothing.

    Args:
        network: what is tested.
        forward: one-hot DNA → output.
        split: the test set.
        options: batch size and device.
        average_strands: average the probabilities of each sequence's two strands. A set whose
            second half is the first one's reverse complement has both already.
        run: asked whether to stop.

    Raises:
        ValueError: targets.txt beside the test set can't be read or has too few or many names.
    """
    names = target_names(split.path, split.num_targets).get("targets")
    doubled = average_strands and is_reverse_complement_doubled(split)
    split.to_device(options.device)
    found, loss = predict(network, forward, split=split, options=options, run=run)
    labels = split.all_labels()[: len(found)]
    if doubled:
        half = len(found) // 2
        found, labels = (found[:half] + found[half:]) / np.float32(2), labels[:half]
    elif average_strands:
        others, other_loss = predict(
            network, forward, split=split, options=options, run=run, other_strand=True
        )
        found += others
        found /= 2
        loss = (loss + other_loss) / 2
    return Predictions(labels, found, loss, names)


def write_test_report(
    files: RunFiles, predictions: Predictions, config: dict[str, Any] | None = None
) -> None:
    """Scores predictions, logs the figures and writes everything, a test's own `config` too."""
    if ranks.number() > 0:
        return
    labels, probabilities, loss, targets = predictions
    named = {} if targets is None else {"targets": targets}
    metrics = score_predictions(labels, probabilities)
    files.write_array("test_loss", loss)
    files.write_array("labels_test", labels)
    files.write_array("predictions_test", probabilities)
    files.write_json("metrics_test", {"test_loss": loss, **named, **metrics})
    if config is not None:
        files.write_json("config_test", config)
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
    names = target_names(split.path, split.num_targets).get("targets")
    check_names(names, model.targets, split.path, model.path)
