import numpy as np
import pytest

from BONAS_search_space.graphs import architecture_key, is_fully_connected
from data_generators.random_graphs import random_architecture
from opendomain_utils.archive import Archive, ScoredArchitecture
from samplers import evolutionary_sampler
from samplers.evolutionary_sampler import sample_evolutionary
from samplers.random_sampler import sample_random


def archive_of(tmp_path, scores):
    rng = np.random.default_rng(0)
    archive = Archive(tmp_path / "archive.jsonl")
    for score in scores:
        archive.append(ScoredArchitecture(random_architecture(rng), score, 0.0, 0))
    return archive


@pytest.mark.parametrize("sampler", [sample_random, sample_evolutionary])
def test_samples_are_distinct_new_and_fully_connected(tmp_path, sampler):
    archive = archive_of(tmp_path, [0.1, 0.2, 0.3])
    drawn = sampler(archive, 200, np.random.default_rng(0))
    keys = {architecture_key(genotype) for genotype in drawn}
    assert len(drawn) == len(keys) == 200
    assert not keys & archive.keys()
    assert all(is_fully_connected(genotype) for genotype in drawn)
    assert drawn == sampler(archive, 200, np.random.default_rng(0))


def test_random_skips_what_the_archive_holds(tmp_path):
    archive = archive_of(tmp_path, [0.1, 0.2])
    assert sample_random(archive, 1, np.random.default_rng(0))[0] not in archive


def parents_of(monkeypatch, archive, count):
    """Ranks (0 the best score) of the parents that the sampler picks."""
    ranked = sorted((entry.score for entry in archive.entries), reverse=True)
    score = {entry.genotype: entry.score for entry in archive.entries}
    parents = []

    def mutate(parent, rng, known):
        parents.append(ranked.index(score[parent]))
        return random_architecture(rng)

    monkeypatch.setattr(evolutionary_sampler, "mutate", mutate)
    sample_evolutionary(archive, count, np.random.default_rng(1))
    return np.array(parents)


def test_parents_win_tournaments_of_10_in_a_population_of_30(tmp_path, monkeypatch):
    scores = np.random.default_rng(2).permutation(50) / 50
    parents = parents_of(monkeypatch, archive_of(tmp_path, scores), 600)
    assert parents.max() <= 20
    # the best takes part in a third of the tournaments; the runner-up wins 20/87 of them
    assert abs((parents == 0).mean() - 1 / 3) < 0.08
    assert abs((parents == 1).mean() - 20 / 87) < 0.08


def test_ties_go_to_the_lower_loss(tmp_path, monkeypatch):
    archive = archive_of(tmp_path, [0.0] * 40)
    archive.entries = [
        entry._replace(valid_loss=40.0 - number) for number, entry in enumerate(archive.entries)
    ]
    drawn = []
    monkeypatch.setattr(
        evolutionary_sampler,
        "mutate",
        lambda parent, rng, known: drawn.append(parent) or random_architecture(rng),
    )
    sample_evolutionary(archive, 100, np.random.default_rng(1))
    losses = [entry.valid_loss for entry in archive.entries if entry.genotype in drawn]
    assert min(losses) == 1.0
    assert max(losses) <= 21.0


def test_fewer_than_a_tournament_all_take_part(tmp_path, monkeypatch):
    parents = parents_of(monkeypatch, archive_of(tmp_path, [0.2, 0.4, 0.3]), 20)
    assert (parents == 0).all()


def test_evolution_needs_scores(tmp_path):
    with pytest.raises(ValueError, match="holds 0 architectures"):
        sample_evolutionary(Archive(tmp_path / "none.jsonl"), 1, np.random.default_rng(0))
