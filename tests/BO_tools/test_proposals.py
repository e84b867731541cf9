import time

import numpy as np
import pytest
import torch
from scipy.special import expit

from BO_tools.predictor_quality import cross_validate, quality_of
from BO_tools.proposals import SAMPLERS, rank
from BO_tools.surrogate import fit_surrogate
from BONAS_search_space.graphs import architecture_key
from data_generators.random_graphs import random_architecture
from opendomain_utils.archive import Archive, ScoredArchitecture
from predictors.predictor_training import PredictorOptions
from samplers.random_sampler import sample_random

CPU = torch.device("cpu")
CNN_VALUES = {"max_pool_5": -0.3, "skip_connect": 0.0, "sep_conv_15": 1.0, "dil_conv_15": 0.6}
RHN_VALUES = {"tanh": 1.0, "identity": 0.2, "sigmoid": -0.4, "relu": 0.5}

torch.set_num_threads(1)


def known_score(genotype):
    """Operations have values that fade along the edges; depths 3 and 4 are the best."""
    values, depths = [0.0, 0.0], [0, 0]
    for i in range(0, 8, 2):
        pair = genotype.normal[i : i + 2]
        values.append(sum(CNN_VALUES[name] + 0.5 * values[state] for name, state in pair) / 2)
        depths.append(1 + max(depths[state] for _, state in pair))
    cnn = np.mean(values[2:]) - 0.3 * abs(max(depths) - 3)
    values, depths = [0.0], [0]
    for name, state in genotype.rnn:
        values.append(RHN_VALUES[name] + 0.5 * values[state])
        depths.append(1 + depths[state])
    rhn = np.mean(values[1:]) - 0.15 * abs(max(depths) - 4)
    return float(expit(-1 + cnn + rhn + 0.5 * cnn * rhn))


def score_all(archive, genotypes, iteration=0):
    for genotype in genotypes:
        archive.append(ScoredArchitecture(genotype, known_score(genotype), 0.0, iteration))


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "archive.jsonl")
    score_all(archive, sample_random(archive, 60, np.random.default_rng(0)))
    return archive


def propose(archive, rng, *, count=1000, sampler="ea", acquisition="ucb", predictor=None):
    """Candidates of a sampler, ranked by a surrogate of the archive."""
    options = predictor or PredictorOptions()
    surrogate = fit_surrogate(archive.entries, options, rng, device=CPU)
    candidates = SAMPLERS[sampler](archive, count, rng)
    return rank(candidates, surrogate, acquisition, best=archive.best().score)


def evaluations_to_reach(threshold, seed, path):
    """Architectures scored until one is as good as `threshold`, ten per iteration."""
    rng = np.random.default_rng(seed)
    archive = Archive(path)
    batch = sample_random(archive, 10, rng)
    while True:
        for genotype in batch:
            score_all(archive, [genotype])
            if archive.entries[-1].score >= threshold:
                return len(archive)
        batch = propose(archive, rng)[:10]


def test_half_the_evaluations_of_random_search(tmp_path):
    """Random search needs 100 on average to meet the top 1 %."""
    rng = np.random.default_rng(12345)
    scores = [known_score(random_architecture(rng)) for _ in range(5000)]
    threshold = np.quantile(scores, 0.99)
    counts = [evaluations_to_reach(threshold, seed, tmp_path / f"{seed}") for seed in range(3)]
    assert np.mean(counts) <= 50


def test_proposals_are_new_distinct_seeded_and_better_than_random(archive):
    ranked = propose(archive, np.random.default_rng(1), count=300)
    assert ranked == propose(archive, np.random.default_rng(1), count=300)
    assert ranked != propose(archive, np.random.default_rng(2), count=300)
    assert len({architecture_key(genotype) for genotype in ranked} - archive.keys()) == 300
    proposed = ranked[:20]
    measured = np.mean([entry.score for entry in archive.entries])
    assert np.mean([known_score(genotype) for genotype in proposed]) > measured + 0.1
    score_all(archive, proposed)


@pytest.mark.parametrize("predictor", ["gcn", "mlp", "lstm"])
@pytest.mark.parametrize("acquisition", ["ucb", "ei"])
def test_the_ranking_beats_the_sampler(archive, predictor, acquisition):
    ranked = propose(
        archive,
        np.random.default_rng(3),
        count=300,
        sampler="random",
        acquisition=acquisition,
        predictor=PredictorOptions(predictor=predictor),
    )
    scores = np.array([known_score(genotype) for genotype in ranked])
    assert scores[:60].mean() > scores.mean() + 0.03
    assert scores[:60].mean() > scores[-60:].mean() + 0.06


def test_1000_candidates_in_10_seconds(archive):
    start = time.process_time()
    assert len(propose(archive, np.random.default_rng(4))) == 1000
    assert time.process_time() - start < 10


def test_held_out_predictions_correlate(archive):
    rng = np.random.default_rng(5)
    quality = cross_validate(archive.entries, PredictorOptions(gcn_epochs=20), rng, device=CPU)
    np.testing.assert_array_equal(quality.measured, [entry.score for entry in archive.entries])
    assert quality.spearman > 0.4
    assert quality.kendall > 0.25


def test_no_architecture_sees_its_own_score(archive):
    """Scores without any structure can't be predicted; fitted ones could be looked up."""
    noise = np.random.default_rng(6).uniform(size=60)
    entries = [e._replace(score=s) for e, s in zip(archive.entries, noise, strict=True)]
    rng = np.random.default_rng(7)
    quality = cross_validate(entries, PredictorOptions(gcn_epochs=20), rng, device=CPU)
    assert abs(quality.spearman) < 0.35


def test_quality_by_hand():
    measured, predicted = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.1, 0.3, 0.2, 0.9])
    quality = quality_of(measured, predicted)
    assert quality.spearman == pytest.approx(0.8)
    assert quality.kendall == pytest.approx(4 / 6)
    constant = quality_of(measured, np.ones(4))
    assert np.isnan(constant.spearman)
    assert np.isnan(constant.kendall)


def test_too_few_architectures_are_refused(archive):
    with pytest.raises(ValueError, match="4 scored architectures; expected at least 5"):
        cross_validate(
            archive.entries[:4], PredictorOptions(), np.random.default_rng(0), device=CPU
        )
