"""F1 for training, from counts; AUROC and AUPRC per target for the test set.

Dimension letters: B batch; N sequences of the test set.
"""

import functools
import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generalNAS_tools.files.progress import progress_bar

log = logging.getLogger(__name__)

Metrics = dict[str, Any]

DEEPSEA_CATEGORIES = {"DNase": range(125), "TF": range(125, 815), "histone": range(815, 919)}
"""Target indices of DeepSEA's three kinds of chromatin feature."""
DEEPSEA_TARGETS = 919
TARGETS_PER_BLOCK = 64
"""Targets copied at a time: whole cache lines of labels and predictions."""


def f1_counts(logits: Tensor, labels: Tensor) -> Tensor:
    """What F1 at threshold 0.5 needs of a batch, without waiting for the device.

    Args:
        logits: (B, targets); positive means predicted.
        labels: (B, targets), 0 or 1 of any dtype.

    Returns:
        (3, targets) int64: true positives, false positives, false negatives.
    """
    predicted, positive = logits > 0, labels > 0
    cases = (predicted & positive, predicted & ~positive, ~predicted & positive)
    return torch.stack([case.sum(0) for case in cases])


def weighted_f1(counts: Tensor) -> float:
    """F1 averaged over targets by their number of positives; 0 where it is undefined.

    Args:
        counts: (3, targets), sums of `f1_counts`.
    """
    hits, false_alarms, misses = counts.cpu().double()
    support = hits + misses
    f1 = 2 * hits / (2 * hits + false_alarms + misses).clamp(min=1)
    return float((f1 * support).sum() / support.sum().clamp(min=1))


def score_predictions(labels: NDArray[np.bool_], predictions: NDArray[np.float32]) -> Metrics:
    """AUROC and AUPRC of every target that has both classes, and their summaries.

    Args:
        labels: (N, targets).
        predictions: (N, targets), probabilities or logits; may be memory-mapped.

    Returns:
        A JSON-ready dict: `num_targets`, `num_scored`, `num_unscorable`, `unscorable`
        (indices), `auroc` and `auprc` per target (None where unscorable), `summary` with
        the median and mean of both and, for DeepSEA's 919 targets, the same per category
        in `categories`. None stands for an undefined value.

    Raises:
        ValueError: the shapes differ or a prediction is not finite.
    """
    if labels.ndim != 2 or labels.shape != predictions.shape:
        raise ValueError(
            f"labels {labels.shape} and predictions {predictions.shape} must both be (N, targets)"
        )
    areas = [_areas(*column) for column in _columns(labels, predictions)]
    auroc, auprc = ([pair[which] for pair in areas] for which in (0, 1))
    unscorable = [target for target, value in enumerate(auroc) if value is None]
    metrics: Metrics = {
        "num_targets": len(auroc),
        "num_scored": len(auroc) - len(unscorable),
        "num_unscorable": len(unscorable),
        "unscorable": unscorable,
        "summary": _summary(auroc, auprc, range(len(auroc))),
        "auroc": auroc,
        "auprc": auprc,
    }
    if len(auroc) == DEEPSEA_TARGETS:
        metrics["categories"] = {
            name: _summary(auroc, auprc, targets) for name, targets in DEEPSEA_CATEGORIES.items()
        }
    return metrics


def mean_areas(
    labels: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[float | None, float | None]:
    """Mean AUROC and AUPRC over the targets with both classes; None if there is none.

    Args:
        labels: (N, targets).
        scores: (N, targets), probabilities or logits.
    """
    metrics = score_predictions(labels, scores)
    if len(labels):  # only rank 0 has some
        _say_skipped(metrics["num_unscorable"], metrics["num_targets"])
    return metrics["summary"]["mean_auroc"], metrics["summary"]["mean_auprc"]


@functools.cache
def _say_skipped(skipped: int, num_targets: int) -> None:
    """Says it once, as validation scores the same sequences every time."""
    if skipped:
        log.info(
            "validation AUROC and AUPRC are means of %d targets; %d lack a class",
            *(num_targets - skipped, skipped),
        )


def format_metrics(metrics: Metrics) -> str:
    """A short table of what `score_predictions` returns, for the log."""
    columns = ("median_auroc", "mean_auroc", "median_auprc", "mean_auprc")
    lines = [
        f"{metrics['num_targets']} targets, {metrics['num_unscorable']} without both classes "
        f"{metrics['unscorable'][:5]}{'…' if metrics['num_unscorable'] > 5 else ''}",
        f"{'':8}{'scored':>8}" + "".join(f"{name.replace('_', ' '):>14}" for name in columns),
    ]
    for name, summary in {"all": metrics["summary"], **metrics.get("categories", {})}.items():
        values = (summary[column] for column in columns)
        cells = "".join(f"{'-' if value is None else f'{value:.4f}':>14}" for value in values)
        lines.append(f"{name:8}{summary['num_scored']:>8}{cells}")
    return "\n".join(lines)


def _columns(
    labels: NDArray[np.bool_], predictions: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    """Labels and predictions target by target, each (N,) and contiguous."""
    starts = range(0, labels.shape[1], TARGETS_PER_BLOCK)
    for start in progress_bar(starts, desc="metrics", leave=False):
        block = slice(start, start + TARGETS_PER_BLOCK)
        truths = np.ascontiguousarray(labels[:, block].T, dtype=bool)
        scores = np.ascontiguousarray(predictions[:, block].T)
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if bad.size:
            raise ValueError(f"predictions of target {start + bad[0]} hold NaN or infinity")
        yield from zip(truths, scores, strict=True)


def _areas(
    truth: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[float | None, float | None]:
    """AUROC and AUPRC of one target, None without both classes."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # slow: not for --help

    if not truth.any() or truth.all():
        return None, None
    order = np.argsort(scores)  # sorted once, scikit-learn's two stable sorts are linear
    truth, scores = truth[order], scores[order]
    return float(roc_auc_score(truth, scores)), float(average_precision_score(truth, scores))


def _summary(auroc: list[float | None], auprc: list[float | None], targets: range) -> Metrics:
    summary: Metrics = {}
    for name, areas in (("auroc", auroc), ("auprc", auprc)):
        values = [value for t in targets if (value := areas[t]) is not None]
        summary["num_scored"] = len(values)
        summary[f"median_{name}"] = float(np.median(values)) if values else None
        summary[f"mean_{name}"] = math.fsum(values) / len(values) if values else None
    return summary
