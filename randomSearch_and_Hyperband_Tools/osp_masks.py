"""The masks of OSP-NAS: the random start, what may be removed, and the last joint choice.

A mask's kind follows from its shape: (14, 9) is a CNN cell's, (36, 5) the RHN cell's. At the end
a CNN node has two edges with one primitive each and an RHN node one, 8 operations in every mask, so
a mask of m operations needs m − 8 removals, and while any is needed some pair may go.

Dimension letters: E edges of a cell, P primitives.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from generalNAS_tools.search_space.edge_masks import BoolArray, Masks, active_edges, edges_of_node
from generalNAS_tools.search_space.genotypes import CELL_KINDS, NONE, CellKind

Pair = tuple[int, int]
"""(edge number, primitive index)."""


def planned_rounds(num_init_archs: int, num_ops: int) -> int:
    """Number of rounds of a search, which does not depend on chance.

    A mask that needs n > 1 removals draws min(num_ops, n) pairs and loses all but one of them, so
    n falls by num_ops − 1 a round until 1 is left: ⌈(n − 1)/(num_ops − 1)⌉ rounds.

    Raises:
        ValueError: `num_init_archs` outside 8..112, or `num_ops` below 2, with which a round
            would remove nothing.
    """
    fewest = max(kind.operations for kind in CELL_KINDS.values())
    most = min(_num_pairs(kind) for kind in CELL_KINDS.values())
    if not fewest <= num_init_archs <= most:
        raise ValueError(f"--num_init_archs {num_init_archs}: expected {fewest}..{most}")
    if num_ops < 2:
        raise ValueError(f"--num_ops {num_ops}: expected at least 2, one of which stays")
    excess = num_init_archs - fewest
    return math.ceil(max(0, excess - 1) / (num_ops - 1))


def initial_masks(rng: np.random.Generator, num_init_archs: int) -> Masks:
    """Draws `num_init_archs` distinct pairs (edge, primitive), never `none`, for each mask.

    Each mask is drawn until every CNN node has at least two edges and every RHN node one, so
    all such masks are equally likely. At the smallest number that takes 157 draws on average
    for a CNN mask and 1,424 for the RHN mask, some hundredths of a second.

    Raises:
        ValueError: `num_init_archs` is outside 8..112.
    """
    planned_rounds(num_init_archs, num_ops=2)
    return Masks(*(_random_mask(rng, kind, num_init_archs) for kind in CELL_KINDS.values()))


def eligible_edges(mask: BoolArray) -> list[int]:
    """Edges that may lose a primitive, in rising order.

    An edge may if its node has more active edges than it needs (two in a CNN cell, one in the RHN
    cell), or exactly as many and this edge more than one primitive.
    """
    kind = _kind_of(mask)
    active = active_edges(mask)
    eligible = []
    for number in np.flatnonzero(active):
        num_active = active[edges_of_node(kind.edges, kind.edges[number].node)].sum()
        spare = num_active == kind.edges_per_node and mask[number].sum() > 1
        if num_active > kind.edges_per_node or spare:
            eligible.append(int(number))
    return eligible


def draw_removals(mask: BoolArray, num_ops: int, rng: np.random.Generator) -> list[Pair]:
    """Draws up to `num_ops` removable pairs: an eligible edge, then one of its primitives.

    Both are uniform, so that a primitive on a crowded edge is drawn more rarely. Every drawn pair
    counts as removed for the draws after it, so that all of them, or any part of them, may be
    removed together.
    """
    removals: list[Pair] = []
    while len(removals) < num_ops and (edges := eligible_edges(mask)):
        edge = edges[rng.integers(len(edges))]
        removals.append((edge, int(rng.choice(np.flatnonzero(mask[edge])))))
        mask = without(mask, removals[-1:])
    return removals


def without(mask: BoolArray, pairs: Sequence[Pair]) -> BoolArray:
    """A copy of the mask in which the pairs are switched off."""
    mask = mask.copy()
    for pair in pairs:
        mask[pair] = False
    return mask


def candidate_masks(masks: Masks, removals: Sequence[Sequence[Pair]]) -> list[Masks]:
    """The i-th candidate lacks the i-th removal of every mask whose list is that long.

    Args:
        masks: the supernet's masks.
        removals: the drawn pairs of the normal, the reduction and the RHN mask.
    """
    return [
        Masks(*map(without, masks, (pairs[i : i + 1] for pairs in removals)))
        for i in range(max(map(len, removals)))
    ]


def remove_all_but(masks: Masks, removals: Sequence[Sequence[Pair]], kept: int) -> Masks:
    """Removes every drawn pair for good but those of candidate `kept`.

    A mask whose list is too short to have a pair in that candidate loses its whole list.
    """
    others = ([*pairs[:kept], *pairs[kept + 1 :]] for pairs in removals)
    return Masks(*map(without, masks, others))


def hurt_most(losses: Sequence[float]) -> int:
    """Index of the highest validation loss, NaN counting as highest; the first of equals."""
    return int(np.argmax(np.nan_to_num(losses, nan=np.inf)))


def hurt_least(losses: Sequence[float]) -> int:
    """Index of the lowest validation loss, NaN counting as highest; the first of equals."""
    return int(np.argmin(np.nan_to_num(losses, nan=np.inf)))


def removals_left(masks: Masks) -> int:
    """Removals that the mask farthest from its end still needs; rounds go on above 1."""
    return max(int(mask.sum()) - _kind_of(mask).operations for mask in masks)


def final_combinations(masks: Masks) -> list[Masks]:
    """Every way to make the last removals, at most one in each mask: up to 3 · 3 · 2.

    Raises:
        ValueError: a mask needs more than one removal.
    """
    if removals_left(masks) > 1:
        raise ValueError(f"a mask still needs {removals_left(masks)} removals; expected at most 1")
    options = (
        [without(mask, [pair]) for pair in _removable_pairs(mask)] or [mask] for mask in masks
    )
    return [Masks(*chosen) for chosen in itertools.product(*options)]


def _kind_of(mask: BoolArray) -> CellKind:
    return next(kind for kind in CELL_KINDS.values() if kind.mask_shape == mask.shape)


def _num_pairs(kind: CellKind) -> int:
    """Pairs (edge, primitive) without `none`, the most a mask can have."""
    return len(kind.edges) * (len(kind.primitives) - 1)


def _removable_pairs(mask: BoolArray) -> list[Pair]:
    return [(edge, int(k)) for edge in eligible_edges(mask) for k in np.flatnonzero(mask[edge])]


def _random_mask(rng: np.random.Generator, kind: CellKind, count: int) -> BoolArray:
    nodes = np.array([edge.node for edge in kind.edges])
    while True:
        pairs = rng.choice(_num_pairs(kind), size=count, replace=False)
        edges, primitives = divmod(pairs, len(kind.primitives) - 1)
        edges_in_node = np.bincount(nodes[np.unique(edges)], minlength=kind.nodes)
        if edges_in_node.min() >= kind.edges_per_node:
            mask = np.zeros(kind.mask_shape, dtype=bool)
            mask[edges, NONE + 1 + primitives] = True
            return mask
