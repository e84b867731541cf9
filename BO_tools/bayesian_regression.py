"""Bayesian sigmoid regression: linear regression of the logit, by evidence maximisation.

Bishop, Pattern Recognition and Machine Learning, section 3.5. Dimension letters: N scored
architectures, M features.
"""

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

SCORE_MARGIN = 1e-4
"""Scores are moved this far into (0, 1), for a finite logit."""
MAX_ITERATIONS = 200
TOLERANCE = 1e-5
"""Largest relative change of both precisions at which the fit has converged."""
MAX_PRECISION = 1e10
"""Where data without noise, or without any signal, would send a precision to infinity."""


class BayesianRegression(NamedTuple):
    """Posterior over the weights of a linear model of the logit.

    Attributes:
        mean: (M,).
        covariance: (M, M).
        noise_precision: of the logits around the model (β in Bishop).
    """

    mean: FloatArray
    covariance: FloatArray
    noise_precision: float

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the logit (Bishop, 3.58): (N, M) → (N,), (N,)."""
        variance = np.einsum("nm,mk,nk->n", features, self.covariance, features)
        return features @ self.mean, np.sqrt(1 / self.noise_precision + variance)


def fit_regression(features: FloatArray, scores: FloatArray) -> BayesianRegression:
    """Fits weights, prior precision and noise precision to measured scores.

    Args:
        features: (N, M).
        scores: from 0 to 1, (N,).
    """
    from scipy.special import logit  # slow: not for --help

    target = logit(np.clip(scores, SCORE_MARGIN, 1 - SCORE_MARGIN))
    eigenvalues, axes = np.linalg.eigh(features.T @ features)
    eigenvalues = np.maximum(eigenvalues, 0)
    projected = axes.T @ (features.T @ target)
    prior, noise = 1.0, 1.0
    for _ in range(MAX_ITERATIONS):
        precision = prior + noise * eigenvalues
        mean = axes @ (noise * projected / precision)
        covariance = (axes / precision) @ axes.T
        well_determined = float((noise * eigenvalues / precision).sum())  # γ, Bishop 3.91
        residual = float(((target - features @ mean) ** 2).sum())
        before = prior, noise
        prior = _ratio(well_determined, float(mean @ mean))  # α, Bishop 3.92
        noise = _ratio(len(target) - well_determined, residual)  # β, Bishop 3.95
        if np.allclose((prior, noise), before, rtol=TOLERANCE):
            break
    else:
        logger.info("evidence maximisation stopped after %d iterations", MAX_ITERATIONS)
    return BayesianRegression(mean, covariance, noise)


def _ratio(numerator: float, denominator: float) -> float:
    return float(np.clip(numerator / max(denominator, 1e-300), 1 / MAX_PRECISION, MAX_PRECISION))
