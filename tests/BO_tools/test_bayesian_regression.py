import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import multivariate_normal

from BO_tools.acquisition import (
    ScoreMoments,
    expected_improvement,
    score_moments,
    upper_confidence_bound,
)
from BO_tools.bayesian_regression import fit_regression
from tests.conformance_data import load_json


@pytest.mark.parametrize("case", load_json("bayesian_sigmoid_regression"))
def test_conformance(case):
    regression = fit_regression(np.array(case["features"]), np.array(case["accuracy"]))
    mean, std = regression.predict(np.array(case["candidates"]))
    ucb = upper_confidence_bound(score_moments(mean, std), best=1.0)
    for ours, name in (
        (regression.mean, "posterior_mean_weights"),
        (regression.noise_precision, "noise_precision"),
        (mean, "predicted_logit"),
        (std, "predicted_std"),
        (ucb, "ucb"),
    ):
        np.testing.assert_allclose(ours, case[name], rtol=1e-9, atol=0)


def make_data(noise, count=300, features=6):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=features)
    x = rng.normal(size=(count, features))
    return x, expit(x @ weights + noise * rng.normal(size=count)), weights


def test_weights_and_noise_are_recovered():
    features, scores, weights = make_data(noise=0.3)
    regression = fit_regression(features, scores)
    np.testing.assert_allclose(regression.mean, weights, atol=0.08)
    assert regression.noise_precision == pytest.approx(0.3**-2, rel=0.2)


def test_the_evidence_is_maximal():
    """Bishop, 3.77: p(t | α, β) is normal with covariance I/β + Φ Φᵀ/α."""
    features, scores, _ = make_data(noise=0.5, count=40)
    regression = fit_regression(features, scores)
    noise = regression.noise_precision
    precision = np.linalg.inv(regression.covariance) - noise * features.T @ features
    prior = float(np.trace(precision)) / len(precision)

    def evidence(alpha, beta):
        covariance = np.eye(40) / beta + features @ features.T / alpha
        return multivariate_normal.logpdf(logit(scores), cov=covariance)

    best = evidence(prior, noise)
    for factor in (0.9, 1.1):
        assert evidence(prior * factor, noise) < best
        assert evidence(prior, noise * factor) < best


@pytest.mark.parametrize("scores", [[0.0] * 5, [1.0] * 5, [0.5] * 5, [0, 1, 0, 1, 0.5], [0.3]])
@pytest.mark.parametrize("features", [3, 50])
def test_degenerate_scores_give_finite_predictions(scores, features):
    x = np.random.default_rng(0).normal(size=(len(scores), features))
    for values in (x, np.zeros_like(x)):
        mean, std = fit_regression(values, np.array(scores)).predict(values)
        assert np.isfinite(mean).all()
        assert np.isfinite(std).all()
        assert (std > 0).all()


def test_moments_are_near_those_of_drawn_logits():
    """The mean within 0.01; the std is the coarse one that conformance pins, right near 0.88."""
    drawn = expit(0.88 + 0.7 * np.random.default_rng(0).normal(size=200_000))
    moments = score_moments(np.array([0.88]), np.array([0.7]))
    assert moments.mean[0] == pytest.approx(drawn.mean(), abs=0.01)
    assert moments.std[0] == pytest.approx(drawn.std(), rel=0.15)


def test_moments_have_no_negative_variance():
    mean, std = np.meshgrid(np.linspace(-12, 12, 97), np.geomspace(1e-8, 5, 40))
    moments = score_moments(mean.ravel(), std.ravel())
    assert np.isfinite(moments.std).all()
    assert ((moments.mean >= 0) & (moments.mean <= 1)).all()


def test_expected_improvement_is_the_mean_excess():
    drawn = np.random.default_rng(0).normal(0.5, 0.2, size=400_000)
    moments = ScoreMoments(np.array([0.5]), np.array([0.2]))
    for best in (0.3, 0.5, 0.7):
        expected = np.maximum(drawn - best, 0).mean()
        assert expected_improvement(moments, best)[0] == pytest.approx(expected, rel=0.01)


def test_expected_improvement_without_doubt_is_the_gain():
    moments = ScoreMoments(np.array([0.6, 0.4]), np.zeros(2))
    np.testing.assert_allclose(expected_improvement(moments, 0.5), [0.1, 0.0])
