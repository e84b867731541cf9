"""How well the surrogate ranks architectures it hasn't seen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from BO_tools.bayesian_regression import FloatArray
from BO_tools.surrogate import fit_surrogate
from opendomain_utils.archive import ScoredArchitecture
from predictors.predictor_training import PredictorOptions

FOLDS = 5


class PredictorQuality(NamedTuple):
    """Cross-validated agreement of predicted and measured scores.

    Attributes:
        spearman: rank correlation; NaN if either side is constant.
        kendall: likewise (tau-b).
        measured: (N,), in the order of the archive.
        predicted: (N,), each by a surrogate fitted without that architecture.
    """

    spearman: float
    kendall: float
    measured: FloatArray
    predicted: FloatArray


def cross_validate(
    entries: Sequence[ScoredArchitecture],
    options: PredictorOptions,
    rng: np.random.Generator,
    *,
    device: torch.device,
) -> PredictorQuality:
    """Predicts each architecture by a surrogate fitted on the other folds.

    Raises:
        ValueError: fewer architectures than `FOLDS`.
    """
    if len(entries) < FOLDS:
        raise ValueError(f"{len(entries)} scored architectures; expected at least {FOLDS}")
    measured = np.array([entry.score for entry in entries])
    predicted = np.zeros_like(measured)
    for held_out in np.array_split(rng.permutation(len(entries)), FOLDS):
        kept = np.setdiff1d(np.arange(len(entries)), held_out)
        surrogate = fit_surrogate([entries[i] for i in kept], options, rng, device=device)
        predicted[held_out] = surrogate.predict([entries[i].genotype for i in held_out]).mean
    return quality_of(measured, predicted)


def quality_of(measured: FloatArray, predicted: FloatArray) -> PredictorQuality:
    """Rank correlations of predicted and measured scores, (N,) each."""
    from scipy.stats import kendalltau, spearmanr  # slow: not for --help

    if np.ptp(measured) == 0 or np.ptp(predicted) == 0:
        return PredictorQuality(np.nan, np.nan, measured, predicted)
    return PredictorQuality(
        float(spearmanr(measured, predicted).statistic),
        float(kendalltau(measured, predicted).statistic),
        measured,
        predicted,
    )
