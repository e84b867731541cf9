import logging

import numpy as np
import pytest

from darts_tools.alphas import EdgeWeights, active_weights
from darts_tools.derivation import SKIP, count_skips
from darts_tools.limit_skips import limit_skips
from darts_tools.stages import final_genotype
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, Masks, edges_of_node, full_masks
from tests.darts_tools.stage_cases import (
    CASES,
    NAMES,
    assert_same_masks,
    genotype_of,
    masks_of,
    random_weights,
    weights_of,
)


def skip_weights(rng, masks, bonus):
    alphas = [rng.normal(size=mask.shape) for mask in masks]
    alphas[0][:, SKIP] += bonus
    return EdgeWeights(*map(active_weights, alphas, masks))


def last_stage_masks(rng):
    """Three primitives on every CNN edge, the skip always among them."""
    masks = full_masks()
    for edge in range(len(CNN_EDGES)):
        others = rng.permutation([k for k in range(9) if k != SKIP])[:2]
        masks.normal[edge] = np.isin(np.arange(9), [SKIP, *others])
    return masks


@pytest.mark.parametrize(("method", "number", "case"), CASES, ids=NAMES)
def test_every_limit_matches_2021(method, number, case):
    stage = case["stages"][-1]
    masks = masks_of(stage["switches_before"])
    limited = limit_skips(masks, weights_of(stage, masks))
    assert count_skips(limited[8]) == case["normal_skips"]
    expected = {int(k): genotype_of(value) for k, value in case["max_skip_to_genotype"].items()}
    assert limited == expected


@pytest.mark.parametrize("seed", range(20))
def test_chain_of_limits(seed):
    rng = np.random.default_rng(seed)
    masks = last_stage_masks(rng)
    weights = skip_weights(rng, masks, bonus=4.0)
    limited = limit_skips(masks, weights)
    assert list(limited) == list(range(8, -1, -1))
    assert limited[8] == final_genotype(masks, weights)
    assert count_skips(limited[8]) > 4
    assert all(count_skips(genotype) <= limit for limit, genotype in limited.items())
    assert len({(genotype.reduce, genotype.rnn) for genotype in limited.values()}) == 1


def test_the_weakest_skip_is_replaced_on_its_edge_or_the_edge_by_another():
    masks = full_masks()
    normal = np.full((14, 9), 0.01)
    normal[0, SKIP], normal[0, 8] = 0.30, 0.05  # node 0 has no other edges: conv_15 steps in
    normal[1, SKIP], normal[1, 4] = 0.40, 0.06
    normal[2, SKIP], normal[2, 5] = 0.20, 0.10  # node 1: edge 4 is stronger than edge 2's rest
    normal[3, 6], normal[4, 7] = 0.50, 0.15
    for node in (2, 3):
        normal[edges_of_node(CNN_EDGES, node)[:2], 8] = 0.9
    rest = random_weights(np.random.default_rng(0), masks)
    limited = limit_skips(masks, rest._replace(normal=normal))
    three = (("skip_connect", 0), ("skip_connect", 1), ("skip_connect", 0), ("dil_conv_15", 1))
    two = (("skip_connect", 0), ("skip_connect", 1), ("dil_conv_15", 1), ("dil_conv_9", 2))
    one = (("conv_15", 0), *two[1:])
    none = (("conv_15", 0), ("sep_conv_15", 1), *two[2:])
    starts = {limit: genotype.normal[:4] for limit, genotype in limited.items()}
    assert starts == dict.fromkeys(range(3, 9), three) | {2: two, 1: one, 0: none}


def test_switching_off_a_skip_may_bring_in_another_one():
    masks = full_masks()
    normal = np.full((14, 9), 0.01)
    normal[0:2, 8] = 0.9
    normal[2, 8], normal[3, SKIP], normal[4, SKIP], normal[4, 4] = 0.5, 0.4, 0.3, 0.2
    for node in (2, 3):
        normal[edges_of_node(CNN_EDGES, node)[:2], 8] = 0.9
    rest = random_weights(np.random.default_rng(0), masks)
    limited = limit_skips(masks, rest._replace(normal=normal))
    assert limited[1].normal[2:4] == (("conv_15", 0), ("skip_connect", 1))
    assert limited[0].normal[2:4] == (("conv_15", 0), ("sep_conv_15", 2))


def test_skips_without_alternative_stay_and_are_reported(caplog):
    masks = full_masks()
    masks.normal[:, :] = False
    masks.normal[:, [0, SKIP]] = True  # nothing but `none` and the skip anywhere
    masks.normal[0, 8] = True
    weights = skip_weights(np.random.default_rng(3), masks, bonus=2.0)
    weights.normal[0] = [0.1, 0, 0, 0.8, 0, 0, 0, 0, 0.1]
    with caplog.at_level(logging.WARNING):
        limited = limit_skips(masks, weights)
    assert count_skips(limited[8]) == 8
    assert limited[0].normal[0] == ("conv_15", 0)
    assert {count_skips(limited[limit]) for limit in range(8)} == {7}
    assert [record.getMessage() for record in caplog.records] == [
        "no limit brings the normal cell below 7 skip_connect: their edges hold nothing else"
    ]


def test_inputs_are_not_changed():
    rng = np.random.default_rng(4)
    masks = last_stage_masks(rng)
    weights = skip_weights(rng, masks, bonus=4.0)
    before = Masks(*(mask.copy() for mask in masks)), [weight.copy() for weight in weights]
    limit_skips(masks, weights)
    assert_same_masks(masks, before[0])
    for one, other in zip(weights, before[1], strict=True):
        np.testing.assert_array_equal(one, other)
