"""Acquisition functions: what a candidate promises, given its predicted logit."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from BO_tools.bayesian_regression import FloatArray

KAPPA = 0.5
"""Standard deviations that UCB adds to the mean."""
MIN_STD = 1e-12
"""Below it expected improvement is the plain gain, if positive."""


class ScoreMoments(NamedTuple):
    """Mean and standard deviation of predicted scores, each (N,)."""

    mean: FloatArray
    std: FloatArray


def score_moments(logit_mean: FloatArray, logit_std: FloatArray) -> ScoreMoments:
    """Moments of the sigmoid of normal logits: (N,), (N,) → (N,), (N,).

    The sigmoid is replaced by a scaled probit (MacKay, 1992), its square by the sigmoid that
    touches it where it is 1/2 (Daunizeau, 2017, arXiv:1703.00091).
    """
    slope = 4 - 2 * np.sqrt(2)
    shift = -np.log(np.sqrt(2) + 1)
    mean = _mean_sigmoid(logit_mean, logit_std)
    square = _mean_sigmoid(slope * (logit_mean + shift), slope * logit_std)
    return ScoreMoments(mean, np.sqrt(np.maximum(square - mean**2, 0)))


def upper_confidence_bound(moments: ScoreMoments, best: float) -> FloatArray:
    """Mean plus half a standard deviation; `best` has no part in it. (N,)."""
    return moments.mean + KAPPA * moments.std


def expected_improvement(moments: ScoreMoments, best: float) -> FloatArray:
    """Expected excess of a normal score over the `best` measured one (Jones et al., 1998). (N,)."""
    from scipy.stats import norm  # slow: not for --help

    gain = moments.mean - best
    std = np.maximum(moments.std, MIN_STD)
    return gain * norm.cdf(gain / std) + std * norm.pdf(gain / std)


ACQUISITIONS: dict[str, Callable[[ScoreMoments, float], FloatArray]] = {
    "ucb": upper_confidence_bound,
    "ei": expected_improvement,
}


def _mean_sigmoid(mean: FloatArray, std: FloatArray) -> FloatArray:
    from scipy.special import expit  # slow: not for --help

    return np.asarray(expit(mean / np.sqrt(1 + np.pi * std**2 / 8)))
