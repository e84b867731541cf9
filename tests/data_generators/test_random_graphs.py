from collections import Counter

import numpy as np
from scipy.stats import chisquare

from BONAS_search_space.graphs import check_architecture, is_fully_connected
from data_generators.random_graphs import random_architecture


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    return [random_architecture(rng) for _ in range(count)]


def test_every_graph_is_valid_and_fully_connected():
    for genotype in draw(1000):
        check_architecture(genotype, source="drawn")
        assert is_fully_connected(genotype)


def test_the_seed_decides():
    assert draw(5) == draw(5)
    assert draw(5) != draw(5, seed=1)


def test_the_last_rhn_node_takes_every_gene_equally_often():
    counts = Counter(genotype.rnn[-1] for genotype in draw(3000))
    assert len(counts) == 4 * 8
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_the_last_cnn_node_takes_every_pair():
    counts = Counter(frozenset(genotype.normal[-2:]) for genotype in draw(3000))
    assert len(counts) == 20 * 19 // 2
