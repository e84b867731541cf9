import numpy as np
import pytest

from darts_tools.alphas import EdgeWeights
from darts_tools.discard_edges import check_kept_edges, discard_edges
from darts_tools.stages import drop_primitives, final_genotype
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, RHN_EDGES, active_edges, full_masks
from tests.conformance_data import load_json
from tests.darts_tools.stage_cases import (
    KEPT_CNN,
    KEPT_RNN,
    assert_same_masks,
    masks_of,
    random_weights,
    weights_of,
)

KEPT_EDGES = ((4, 5), (3, 3))


@pytest.mark.parametrize("case", load_json("dep_darts_stages"))
def test_matches_2021(case):
    for stage, (cnn, rnn) in zip(case["stages"], KEPT_EDGES, strict=False):
        weights = weights_of(stage, masks_of(stage["switches_before"]))
        discarded = discard_edges(
            masks_of(stage["switches_after_ops"]), weights, cnn_edges=cnn, rnn_edges=rnn
        )
        assert_same_masks(discarded, masks_of(stage["switches_after_edges"]))


@pytest.mark.parametrize("seed", range(10))
def test_edge_counts_of_the_whole_search(seed):
    rng = np.random.default_rng(seed)
    masks = full_masks()
    for index, (cnn, rnn) in enumerate(KEPT_EDGES):
        weights = random_weights(rng, masks)
        dropped = drop_primitives(
            masks, weights, kept_cnn=KEPT_CNN[index], kept_rnn=KEPT_RNN[index]
        )
        masks = discard_edges(dropped, weights, cnn_edges=cnn, rnn_edges=rnn)
        expected = [(13, 13, 30), (11, 11, 21)][index]
        assert tuple(active_edges(mask).sum() for mask in masks) == expected
        for before, after in zip(dropped, masks, strict=True):
            kept = active_edges(after)
            np.testing.assert_array_equal(after[kept], before[kept])
    final_genotype(masks, random_weights(rng, masks))


def test_strength_is_the_best_weight_without_none():
    masks = full_masks()
    cnn, rnn = np.full((14, 9), 0.01), np.full((36, 5), 0.01)
    cnn[:, 4] = 0.2
    cnn[9, 0], cnn[9, 4] = 0.9, 0.1  # node 3: `none` makes no edge strong
    cnn[10, 4] = 0.15
    rnn[:, 1] = 0.2
    rnn[-1, 1] = 0.1
    kept = discard_edges(masks, EdgeWeights(cnn, cnn, rnn), cnn_edges=4, rnn_edges=7)
    assert np.flatnonzero(~active_edges(kept.normal)).tolist() == [9]
    assert [RHN_EDGES[e] for e in np.flatnonzero(~active_edges(kept.rnn))] == [(7, 7)]
    kept = discard_edges(masks, EdgeWeights(cnn, cnn, rnn), cnn_edges=3, rnn_edges=8)
    assert [CNN_EDGES[e] for e in np.flatnonzero(~active_edges(kept.reduce))] == [
        (2, 0),
        (3, 0),
        (3, 1),
    ]


def test_checks_of_the_flag():
    check_kept_edges([4, 3], 2, "--cnn_edges")
    check_kept_edges([2, 2], 2, "--cnn_edges")
    check_kept_edges([], 2, "--cnn_edges")
    with pytest.raises(ValueError, match=r"--cnn_edges is \[3, 4\]; .*don't rise"):
        check_kept_edges([3, 4], 2, "--cnn_edges")
    with pytest.raises(ValueError, match=r"--cnn_edges is \[4, 1\]; .*at least 2"):
        check_kept_edges([4, 1], 2, "--cnn_edges")
