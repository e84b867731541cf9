from functools import partial

import numpy as np
import pytest

from darts_tools.alphas import EdgeWeights
from darts_tools.stages import (
    check_frozen_epochs,
    check_kept_primitives,
    drop_primitives,
    final_genotype,
    final_mask,
    keep_strongest,
    per_stage,
    strongest_edges,
)
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, Masks, edges_of_node, full_masks
from generalNAS_tools.search_space.genotypes import CNN_CELL
from tests.darts_tools.stage_cases import (
    CASES,
    KEPT_CNN,
    KEPT_RNN,
    NAMES,
    assert_same_masks,
    genotype_of,
    masks_of,
    random_weights,
    weights_of,
)


def drop(masks, weights, index):
    """What stage `index` leaves on every edge; in the last one `none` goes first."""
    kept_cnn, kept_rnn = KEPT_CNN[index], KEPT_RNN[index]
    if index < 2:
        return drop_primitives(masks, weights, kept_cnn=kept_cnn, kept_rnn=kept_rnn)
    last = partial(keep_strongest, none_first=True)
    return Masks(*map(last, masks, weights, (kept_cnn, kept_cnn, kept_rnn)))


@pytest.mark.parametrize(("method", "number", "case"), CASES, ids=NAMES)
def test_dropping_matches_2021(method, number, case):
    for index, stage in enumerate(case["stages"]):
        masks = masks_of(stage["switches_before"])
        dropped = drop(masks, weights_of(stage, masks), index)
        assert_same_masks(dropped, masks_of(stage["switches_after_ops"]))


@pytest.mark.parametrize(("method", "number", "case"), CASES, ids=NAMES)
def test_final_genotype_matches_2021(method, number, case):
    stage = case["stages"][-1]
    masks = masks_of(stage["switches_before"])
    assert final_genotype(masks, weights_of(stage, masks)) == genotype_of(case["genotype"])


def test_keep_strongest_by_hand():
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    weights = np.array([[0.4, 0.1, 0.3, 0.2], [0.6, 0.2, 0.2, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    plain = keep_strongest(mask, weights, 2, none_first=False)
    np.testing.assert_array_equal(plain, [[1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    last = keep_strongest(mask, weights, 1, none_first=True)
    np.testing.assert_array_equal(last, [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])


def test_last_stage_removes_even_a_lone_none():
    mask = np.array([[True, False, False, False]])
    assert not keep_strongest(mask, mask * 1.0, 1, none_first=True).any()
    assert keep_strongest(mask, mask * 1.0, 1, none_first=False)[0, 0]


@pytest.mark.parametrize("seed", range(10))
def test_stages_only_lose_primitives_and_end_in_one_operation_per_edge(seed):
    rng = np.random.default_rng(seed)
    masks = full_masks()
    for index, (cnn, rnn) in enumerate(zip(KEPT_CNN, KEPT_RNN, strict=True)):
        weights = random_weights(rng, masks)
        before = masks
        masks = drop(masks, weights, index)
        for old, new, count, weight in zip(before, masks, (cnn, cnn, rnn), weights, strict=True):
            assert not (new & ~old).any()
            assert (new.sum(axis=1) == count).all()
            assert new[:, 1:].any(axis=1).all()
            if index < 2:
                kept, dropped = np.where(new, weight, 2), np.where(old & ~new, weight, -1)
                assert (kept.min(axis=1) > dropped.max(axis=1)).all()
    assert not any(mask[:, 0].any() for mask in masks)


def test_final_genotype_by_hand():
    masks = full_masks()
    cnn, rnn = np.zeros((14, 9)), np.zeros((36, 5))
    cnn[:, 0] = 0.9
    cnn[:, 8] = np.arange(14, 0, -1) / 100  # the lower states are stronger
    rnn[:, 2] = 0.2  # all equal: the highest state
    genotype = final_genotype(masks, EdgeWeights(cnn, cnn, rnn))
    assert genotype.normal == (("conv_15", 0), ("conv_15", 1)) * 4
    assert genotype.rnn == tuple(("identity", state) for state in range(8))


def test_final_mask_passes_over_inactive_edges():
    weights = np.full((14, 9), 1 / 9)
    mask = np.ones((14, 9), dtype=bool)
    node = edges_of_node(CNN_EDGES, 3)
    mask[node[0]] = mask[node[3]] = False
    mask[node[1], 1:] = False  # nothing but `none`
    final = final_mask(mask, weights, CNN_CELL)
    assert np.flatnonzero(final[node].any(axis=1)).tolist() == [2, 4]


def test_node_with_too_few_edges_is_an_error():
    masks = full_masks()
    masks.normal[edges_of_node(CNN_EDGES, 2)[1:]] = False
    weights = random_weights(np.random.default_rng(0), masks)
    with pytest.raises(ValueError, match="normal mask has 1 operations on node 2; expected 2"):
        final_genotype(masks, weights)


def test_strongest_edges_by_hand():
    strengths = np.array([0.1, 0.2, 0.3, 0.2, 0.2, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0, 0.5, 0.0])
    chosen = strongest_edges(strengths, CNN_EDGES, 2)
    assert np.flatnonzero(chosen).tolist() == [0, 1, 2, 4, 5, 6, 12, 13]
    assert strongest_edges(strengths, CNN_EDGES, 9).all()


def test_masks_are_not_changed_in_place():
    masks = full_masks()
    weights = random_weights(np.random.default_rng(1), masks)
    drop_primitives(masks, weights, kept_cnn=1, kept_rnn=1)
    final_genotype(masks, weights)
    assert_same_masks(masks, Masks(*(np.ones_like(mask) for mask in masks)))


def test_per_stage_repeats_one_and_keeps_three():
    assert per_stage([25], 3, "--epochs") == [25, 25, 25]
    assert per_stage([25, 15, 15], 3, "--epochs") == [25, 15, 15]
    assert per_stage([0.1], 1, "--skip_dropout") == [0.1]


@pytest.mark.parametrize("values", [[], [1, 2], [1, 2, 3, 4]])
def test_per_stage_refuses_other_counts(values):
    with pytest.raises(ValueError, match=rf"--epochs has {len(values)} values; expected 1 or 3"):
        per_stage(values, 3, "--epochs")


@pytest.mark.parametrize(("kept", "primitives"), [([6, 3, 1], 9), ([3, 2, 1], 5), ([1], 9)])
def test_falling_counts_pass(kept, primitives):
    check_kept_primitives(kept, primitives, "--keep")


@pytest.mark.parametrize("kept", [[], [9, 3, 1], [6, 6, 1], [3, 6, 1], [6, 3, 0], [6, 3], [10, 1]])
def test_other_counts_are_refused(kept):
    with pytest.raises(ValueError, match=r"--keep is .*from at most 8 to 1"):
        check_kept_primitives(kept, 9, "--keep")


def test_frozen_epochs_fit_the_stage():
    check_frozen_epochs([25, 15, 3], [10, 0, 3], "--frozen")
    with pytest.raises(ValueError, match="--frozen is 4 in stage 3; expected 0 to 3"):
        check_frozen_epochs([25, 15, 3], [10, 0, 4], "--frozen")
    with pytest.raises(ValueError, match="--frozen is -1 in stage 1"):
        check_frozen_epochs([25], [-1], "--frozen")
