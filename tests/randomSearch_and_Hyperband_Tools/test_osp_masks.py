import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generalNAS_tools.search_space.edge_masks import (
    CNN_EDGES,
    RHN_EDGES,
    Masks,
    active_edges,
    edges_of_node,
    full_masks,
    genotype_from_masks,
    masks_from_genotype,
)
from generalNAS_tools.search_space.genotypes import parse_genotype
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    eligible_edges,
    final_combinations,
    hurt_least,
    hurt_most,
    initial_masks,
    planned_rounds,
    removals_left,
    remove_all_but,
    without,
)
from tests.conformance_data import load_json

SMALLEST, LARGEST = 8, 112
seeds = st.integers(0, 2**32 - 1)


def node_edges(mask):
    """Active edges per node."""
    edges = CNN_EDGES if len(mask) == 14 else RHN_EDGES
    return [
        int(active_edges(mask)[edges_of_node(edges, node)].sum())
        for node in range(edges[-1].node + 1)
    ]


def is_startable(masks):
    needed = (2, 2, 1)
    return all(min(node_edges(mask)) >= n for mask, n in zip(masks, needed, strict=True))


def is_subset(small, large):
    return all(not (a & ~b).any() for a, b in zip(small, large, strict=True))


def search(masks, num_ops, rng):
    """The whole schedule with random losses; returns the end and the number of rounds."""
    rounds = 0
    while removals_left(masks) > 1:
        removals = [draw_removals(mask, num_ops, rng) for mask in masks]
        candidates = candidate_masks(masks, removals)
        assert all(is_startable(candidate) for candidate in candidates)
        smaller = remove_all_but(masks, removals, hurt_most(rng.random(len(candidates))))
        assert is_subset(smaller, masks)
        assert is_startable(smaller)
        assert removals_left(smaller) < removals_left(masks)
        masks = smaller
        rounds += 1
    options = final_combinations(masks)
    assert 1 <= len(options) <= 18
    assert len({b"".join(mask.tobytes() for mask in option) for option in options}) == len(options)
    assert all(is_subset(option, masks) for option in options)
    for option in options:
        genotype = genotype_from_masks(option)
        assert all(map(np.array_equal, masks_from_genotype(genotype), option))
    return options[hurt_least(rng.random(len(options)))], rounds


@given(st.integers(SMALLEST, LARGEST), st.integers(2, 20), seeds)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_search_ends_in_a_genotype(num_init_archs, num_ops, seed):
    rng = np.random.default_rng(seed)
    masks = initial_masks(rng, num_init_archs)
    assert all(mask.sum() == num_init_archs for mask in masks)
    assert not any(mask[:, 0].any() for mask in masks)
    assert is_startable(masks)
    end, rounds = search(masks, num_ops, rng)
    assert rounds == planned_rounds(num_init_archs, num_ops)
    for mask, per_node in zip(end, (2, 2, 1), strict=True):
        assert set(node_edges(mask)) == {per_node}
        assert mask.sum() == 8


@pytest.mark.parametrize("num_init_archs", [8, 9, 10, 11, 108, 112])
@pytest.mark.parametrize("num_ops", [2, 3, 7, 1000])
def test_edge_cases_end_too(num_init_archs, num_ops):
    rng = np.random.default_rng(num_init_archs)
    _, rounds = search(initial_masks(rng, num_init_archs), num_ops, rng)
    assert rounds == planned_rounds(num_init_archs, num_ops)


@given(st.tuples(*[st.integers(SMALLEST, LARGEST)] * 3), st.integers(2, 20), seeds)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_masks_of_different_sizes_end_too(sizes, num_ops, seed):
    rng = np.random.default_rng(seed)
    masks = Masks(*(initial_masks(rng, n)[i] for i, n in enumerate(sizes)))
    search(masks, num_ops, rng)


def test_the_documented_search_takes_17_rounds():
    assert planned_rounds(108, 7) == 17
    assert planned_rounds(8, 2) == planned_rounds(9, 2) == 0


@pytest.mark.parametrize("number", [-1, 0, 7, 113])
def test_impossible_numbers_get_one_line(number):
    with pytest.raises(ValueError, match=rf"^--num_init_archs {number}: expected 8\.\.112$"):
        initial_masks(np.random.default_rng(0), number)


@pytest.mark.parametrize("num_ops", [-3, 0, 1])
def test_rounds_that_remove_nothing_are_refused(num_ops):
    with pytest.raises(ValueError, match=f"^--num_ops {num_ops}: expected at least 2"):
        planned_rounds(108, num_ops)


def test_the_largest_number_sets_every_cnn_pair():
    masks = initial_masks(np.random.default_rng(0), LARGEST)
    assert masks.normal[:, 1:].all()
    assert masks.reduce[:, 1:].all()


def test_initial_masks_are_uniform_over_the_allowed():
    """Operations per RHN node against the exact distribution, edges and primitives uniform.

    A node with e edges holds k operations in C(4e, k) ways, k ≥ 1; times the ways of the other
    nodes to hold the rest.
    """
    rng, count, draws = np.random.default_rng(7), 20, 4000
    drawn = np.array([initial_masks(rng, count).rnn[:, 1:] for _ in range(draws)])
    ways = [
        np.array([0.0] + [math.comb(4 * e, k) for k in range(1, 4 * e + 1)]) for e in range(1, 9)
    ]
    for node in (0, 7):
        rest = np.ones(1)
        for other in range(8):
            rest = np.convolve(rest, ways[other]) if other != node else rest
        sizes = np.arange(1, min(4 * (node + 1), count - 7) + 1)
        expected = ways[node][sizes] * rest[count - sizes]
        expected *= draws / expected.sum()
        found = Counter(drawn[:, edges_of_node(RHN_EDGES, node)].sum(axis=(1, 2)).tolist())
        observed = np.array([found[k] for k in sizes])
        common = expected >= 5
        observed = [*observed[common], observed[~common].sum()]
        expected = [*expected[common], expected[~common].sum()]
        if expected[-1] == 0:
            observed, expected = observed[:-1], expected[:-1]
        assert chisquare(observed, expected).pvalue > 1e-4
        in_node = drawn[:, edges_of_node(RHN_EDGES, node)].sum(axis=0)
        assert chisquare(in_node.ravel()).pvalue > 1e-4


def test_eligible_edges_agree_with_the_2021_system():
    for case in load_json("osp_eligible_edges"):
        for kind in ("cnn", "rhn"):
            mask = np.array(case[f"{kind}_mask"], dtype=bool)
            assert eligible_edges(mask) == sorted(case[f"{kind}_eligible_edges"])


def test_finished_masks_read_as_in_2021_and_lose_nothing():
    for case in load_json("mask_to_genotype"):
        masks = Masks(*(np.array(case[name], dtype=bool) for name in Masks._fields))
        assert genotype_from_masks(masks) == parse_genotype(case["genotype"], source="case")
        assert removals_left(masks) == 0
        assert [eligible_edges(mask) for mask in masks] == [[], [], []]
        assert len(final_combinations(masks)) == 1


def small_mask():
    """Node 0: two single edges; node 1: a double and a single; others: three single edges."""
    mask = np.zeros((14, 9), dtype=bool)
    for pair in [(0, 1), (1, 1), (2, 3), (2, 4), (4, 8), (5, 1), (6, 1), (8, 2)]:
        mask[pair] = True
    for edge in (9, 11, 13):
        mask[edge, 5] = True
    return mask


def test_an_edge_is_drawn_first_then_one_of_its_primitives():
    rng = np.random.default_rng(8)
    mask = small_mask()
    draws = [draw_removals(mask, 2, rng) for _ in range(4000)]
    removable = {(2, 3), (2, 4), (5, 1), (6, 1), (8, 2), (9, 5), (11, 5), (13, 5)}
    first = Counter(pairs[0] for pairs in draws)
    assert set(first) == removable
    edges = Counter(edge for edge, _ in first.elements())
    assert chisquare(list(edges.values())).pvalue > 1e-4
    assert chisquare([first[2, 3], first[2, 4]]).pvalue > 1e-4
    # After (2, 3) node 1 is down to two single edges: only the other two nodes may lose one.
    second = Counter(pairs[1] for pairs in draws if pairs[0] == (2, 3))
    assert set(second) == removable - {(2, 3), (2, 4)}


def test_a_list_is_as_long_as_the_mask_can_bear():
    rng = np.random.default_rng(9)
    mask = small_mask()
    before = mask.copy()
    for num_ops in (1, 2, 3, 4, 20):
        removals = draw_removals(mask, num_ops, rng)
        assert len(removals) == min(num_ops, 3) == len(set(removals))
    assert np.array_equal(mask, before)
    assert not eligible_edges(without(mask, removals))


def test_candidates_pair_the_lists_and_keep_the_worst():
    masks = full_masks()
    removals = [[(0, 1), (1, 2), (2, 3)], [(3, 4)], [(5, 1), (6, 2)]]
    candidates = candidate_masks(masks, removals)
    removed = [
        [[tuple(map(int, pair)) for pair in np.argwhere(~mask)] for mask in candidate]
        for candidate in candidates
    ]
    assert removed == [
        [[(0, 1)], [(3, 4)], [(5, 1)]],
        [[(1, 2)], [], [(6, 2)]],
        [[(2, 3)], [], []],
    ]
    after = remove_all_but(masks, removals, hurt_most([0.1, 0.3, 0.2]))
    assert [np.argwhere(~mask).tolist() for mask in after] == [
        [[0, 1], [2, 3]],
        [[3, 4]],
        [[5, 1]],
    ]
    assert all(mask.all() for mask in masks)


def test_the_last_removals_are_combined():
    masks = final_ready()
    options = final_combinations(masks)
    assert len(options) == 3 * 2 * 2
    assert {tuple(int(mask.sum()) for mask in option) for option in options} == {(8, 8, 8)}
    masks.normal[2, 1] = True
    with pytest.raises(ValueError, match="still needs 2 removals"):
        final_combinations(masks)


def final_ready():
    """Normal: a node with three edges; reduce: one with a double edge; RHN: one with two edges."""
    case = load_json("mask_to_genotype")[0]
    masks = Masks(*(np.array(case[name], dtype=bool) for name in Masks._fields))
    node = edges_of_node(CNN_EDGES, 1)
    idle = next(edge for edge in node if not masks.normal[edge].any())
    masks.normal[idle, 2] = True
    busy = next(edge for edge in node if masks.reduce[edge].any())
    masks.reduce[busy, 3 if not masks.reduce[busy, 3] else 4] = True
    idle = next(e for e in edges_of_node(RHN_EDGES, 2) if not masks.rnn[e].any())
    masks.rnn[idle, 1] = True
    return masks


def test_diverged_losses_hurt_most():
    assert hurt_most([0.2, 0.7, 0.7]) == 1
    assert hurt_least([0.2, 0.1, 0.1]) == 1
    assert hurt_most([0.2, math.nan, math.inf]) == 1
    assert hurt_least([math.nan, math.inf, 0.3]) == 2
