import numpy as np
import pytest
from hypothesis import given, settings

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
from tests.conformance_data import load_json
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE, genotypes

CASES = load_json("mask_to_genotype")


def masks_of(case):
    return Masks(*(np.array(case[name], dtype=bool) for name in Masks._fields))


@pytest.mark.parametrize("case", CASES)
def test_conformance_from_masks(case):
    expected = parse_genotype(case["genotype"], source="conformance")
    assert genotype_from_masks(masks_of(case)) == expected


@pytest.mark.parametrize("case", CASES)
def test_conformance_to_masks(case):
    masks = masks_from_genotype(parse_genotype(case["genotype"], source="conformance"))
    for mask, expected in zip(masks, masks_of(case), strict=True):
        np.testing.assert_array_equal(mask, expected)


@settings(max_examples=50, deadline=None)
@given(genotypes())
def test_round_trip_keeps_every_operation(genotype):
    masks = masks_from_genotype(genotype)
    assert [int(mask.sum()) for mask in masks] == [8, 8, 8]
    back = genotype_from_masks(masks)
    for name in ("normal", "reduce"):
        before, after = getattr(genotype, name), getattr(back, name)
        for node in range(4):
            pair = slice(2 * node, 2 * node + 2)
            assert sorted(after[pair]) == sorted(before[pair])
            assert [state for _, state in after[pair]] == sorted(s for _, s in before[pair])
    assert back.rnn == genotype.rnn
    assert genotype_from_masks(masks_from_genotype(back)) == back


def test_edges_are_numbered_node_by_node():
    assert [len(edges_of_node(CNN_EDGES, node)) for node in range(4)] == [2, 3, 4, 5]
    assert [len(edges_of_node(RHN_EDGES, node)) for node in range(8)] == list(range(1, 9))
    assert list(CNN_EDGES) == sorted(CNN_EDGES)
    assert list(RHN_EDGES) == sorted(RHN_EDGES)
    assert edges_of_node(CNN_EDGES, 2) == [5, 6, 7, 8]
    assert [CNN_EDGES[number].state for number in edges_of_node(CNN_EDGES, 2)] == [0, 1, 2, 3]


def test_full_masks_hold_everything():
    assert [mask.shape for mask in full_masks()] == [(14, 9), (14, 9), (36, 5)]
    assert all(mask.all() for mask in full_masks())


def test_an_edge_with_only_none_is_active():
    mask = np.zeros((3, 2), dtype=bool)
    mask[1, 0] = True
    np.testing.assert_array_equal(active_edges(mask), [False, True, False])


@pytest.mark.parametrize(
    ("field", "edge", "primitive", "value", "message"),
    [
        ("normal", 0, 4, False, "normal mask has 1 operations on node 0; expected 2"),
        ("reduce", 13, 8, True, "reduce mask has 3 operations on node 3; expected 2"),
        ("rnn", 0, 2, True, "rnn mask has 2 operations on node 0; expected 1"),
        ("normal", 0, 0, True, "normal mask still holds `none`"),
    ],
)
def test_masks_that_are_no_genotype(field, edge, primitive, value, message):
    masks = masks_from_genotype(EXAMPLE)
    getattr(masks, field)[edge, primitive] = value
    with pytest.raises(ValueError, match=message):
        genotype_from_masks(masks)


def test_masks_of_another_shape():
    masks = masks_from_genotype(EXAMPLE)._replace(rnn=np.zeros((14, 9), dtype=bool))
    with pytest.raises(ValueError, match=r"rnn mask has shape \(14, 9\); expected \(36, 5\)"):
        genotype_from_masks(masks)
