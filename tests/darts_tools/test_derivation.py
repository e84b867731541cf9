import logging

import numpy as np
import pytest

from darts_tools.alphas import EdgeWeights
from darts_tools.derivation import count_skips, derive_genotype, edge_strengths, warn_if_collapsed
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, RHN_EDGES, full_masks
from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES, RHN_PRIMITIVES, Genotype
from tests.conformance_data import load_json
from tests.darts_tools.stage_cases import genotype_of, random_weights, weights_of

RNN = [("tanh", 0)] * 8


def cell(skips):
    return [("skip_connect" if i < skips else "conv_15", i % 2) for i in range(8)]


@pytest.mark.parametrize("case", load_json("darts_derivation"))
def test_matches_2021(case):
    assert derive_genotype(weights_of(case, full_masks())) == genotype_of(case["genotype"])


def test_by_hand():
    cnn = np.zeros((14, 9))
    cnn[:, 0] = 0.9  # `none` is never chosen, however strong
    cnn[0, 3], cnn[1, 8] = 0.1, 0.2  # node 0: falling order puts state 1 first
    cnn[2, 1], cnn[3, 2], cnn[4, 2] = 0.3, 0.1, 0.4  # node 1: states 2 and 0
    cnn[5:9, 4] = 0.25  # node 2, all equal: the lower states
    cnn[9:, 6], cnn[9:, 7] = 0.05, 0.05  # node 3, equal primitives: the lower one
    cnn[13, 5] = 0.06
    rnn = np.zeros((36, 5))
    rnn[:, 0] = 0.8
    rnn[[number for number, edge in enumerate(RHN_EDGES) if edge.state == edge.node], 4] = 0.1
    genotype = derive_genotype(EdgeWeights(cnn, cnn, rnn))
    assert genotype.normal == (
        ("conv_15", 1),
        ("skip_connect", 0),
        ("avg_pool_5", 2),
        ("max_pool_5", 0),
        ("sep_conv_15", 0),
        ("sep_conv_15", 1),
        ("sep_conv_9", 4),
        ("dil_conv_15", 0),
    )
    assert genotype.reduce == genotype.normal
    assert genotype.rnn == tuple(("relu", state) for state in range(8))


@pytest.mark.parametrize("seed", range(10))
def test_chosen_edges_are_at_least_as_strong_as_the_rest(seed):
    weights = random_weights(np.random.default_rng(seed), full_masks())
    genotype = derive_genotype(weights)
    for genes, table, edges, names, per_node in (
        (genotype.normal, weights.normal, CNN_EDGES, CNN_PRIMITIVES, 2),
        (genotype.reduce, weights.reduce, CNN_EDGES, CNN_PRIMITIVES, 2),
        (genotype.rnn, weights.rnn, RHN_EDGES, RHN_PRIMITIVES, 1),
    ):
        strengths = edge_strengths(table)
        chosen = [(i // per_node, state) for i, (_, state) in enumerate(genes)]
        assert len(set(chosen)) == len(chosen)
        for position, (name, _) in enumerate(genes):
            number = edges.index(chosen[position])
            assert table[number, names.index(name)] == strengths[number]
            rest = [n for n, e in enumerate(edges) if e.node == edges[number].node]
            rest = [n for n in rest if tuple(edges[n]) not in chosen]
            assert all(strengths[number] >= strengths[n] for n in rest)
            if position % per_node:
                assert strengths[edges.index(chosen[position - 1])] >= strengths[number]


@pytest.mark.parametrize("skips", [0, 3, 8])
def test_count_skips_looks_at_the_normal_cell_only(skips):
    assert count_skips(Genotype.of(cell(skips), cell(8), RNN)) == skips


@pytest.mark.parametrize(("skips", "warns"), [(0, False), (4, False), (5, True), (8, True)])
def test_collapse_is_more_than_half_skips(skips, warns, caplog):
    with caplog.at_level(logging.WARNING):
        warn_if_collapsed(Genotype.of(cell(skips), cell(8), RNN))
    assert [record.getMessage() for record in caplog.records] == (
        [f"{skips} of the 8 operations of the normal cell are skip_connect: the search collapsed"]
        if warns
        else []
    )
