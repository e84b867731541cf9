"""Stages of P-DARTS and its kin: their options, what is dropped after each, the last genotype.

Dimension letters: E edges of a cell, P primitives.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from darts_tools.alphas import EdgeWeights, FloatArray
from darts_tools.derivation import edge_strengths
from generalNAS_tools.search_space.edge_masks import (
    BoolArray,
    Edge,
    Masks,
    edges_of_node,
    genotype_from_masks,
)
from generalNAS_tools.search_space.genotypes import CELL_KINDS, NONE, CellKind, Genotype

Value = TypeVar("Value")


def per_stage(
    values: Sequence[Value], num_stages: int, flag: str, *, each: str = "stage"
) -> list[Value]:
    """One value for every stage, from one for all or one for each.

    Raises:
        ValueError: any other number of values.
    """
    if len(values) == 1:
        return [values[0]] * num_stages
    if len(values) != num_stages:
        raise ValueError(
            f"{flag} has {len(values)} values; expected 1 or {num_stages} (one per {each})"
        )
    return list(values)


def check_kept_primitives(kept: Sequence[int], num_primitives: int, flag: str) -> None:
    """Checks the numbers of primitives kept per edge after each stage.

    Raises:
        ValueError: they don't fall strictly from below `num_primitives` to 1.
    """
    falling = all(after < before for before, after in pairwise([num_primitives, *kept]))
    if not kept or not falling or kept[-1] != 1:
        raise ValueError(
            f"{flag} is {list(kept)}; expected numbers that fall strictly "
            f"from at most {num_primitives - 1} to 1"
        )


def check_frozen_epochs(epochs: Sequence[int], frozen_epochs: Sequence[int], flag: str) -> None:
    """Checks that the alphas' frozen epochs fit into each stage.

    Raises:
        ValueError: a stage has fewer epochs than frozen ones, or a number is negative.
    """
    for stage, (total, frozen) in enumerate(zip(epochs, frozen_epochs, strict=True), start=1):
        if not 0 <= frozen <= total:
            raise ValueError(f"{flag} is {frozen} in stage {stage}; expected 0 to {total} (epochs)")


def drop_primitives(masks: Masks, weights: EdgeWeights, *, kept_cnn: int, kept_rnn: int) -> Masks:
    """Keeps the primitives with the largest weights on every edge (P-DARTS, Chen et al. 2019).

    Of equal weights the lower primitive goes first. Edges without primitives stay so.
    """
    return Masks(*map(keep_strongest, masks, weights, (kept_cnn, kept_cnn, kept_rnn)))


def keep_strongest(
    mask: BoolArray, weights: FloatArray, kept: int, *, none_first: bool = False
) -> BoolArray:
    """One cell's mask with at most `kept` primitives left on every edge: (E, P) → (E, P).

    With `none_first`, as in the last stage, `none` goes first whatever its weight.
    """
    ranks = np.where(mask, weights, -np.inf)
    if none_first:
        ranks[:, NONE] = -np.inf
    strongest = np.argsort(ranks, axis=1, kind="stable")[:, -kept:]
    remaining = np.zeros_like(mask)
    np.put_along_axis(remaining, strongest, True, axis=1)
    return remaining & mask


def final_genotype(masks: Masks, weights: EdgeWeights) -> Genotype:
    """The genotype after the last stage, from the masks and weights that stage trained.

    Per CNN node the two strongest edges, per RHN node one, each with its best primitive, in state
    order. Of equally strong edges the higher state stays.

    Raises:
        ValueError: a node has too few edges with an operation.
    """
    return genotype_from_masks(Masks(*map(final_mask, masks, weights, CELL_KINDS.values())))


def final_mask(mask: BoolArray, weights: FloatArray, kind: CellKind) -> BoolArray:
    """One cell's mask with one primitive on each of the best edges of every node."""
    best = keep_strongest(mask, weights, 1, none_first=True)
    best[:, NONE] = False
    strengths = edge_strengths(np.where(mask, weights, -np.inf))
    return best & strongest_edges(strengths, kind.edges, kind.edges_per_node)[:, None]


def strongest_edges(strengths: FloatArray, edges: tuple[Edge, ...], per_node: int) -> BoolArray:
    """Marks the at most `per_node` strongest edges of every node: (E,) → (E,)."""
    chosen = np.zeros(len(edges), dtype=bool)
    for node in range(edges[-1].node + 1):
        ranked = sorted(edges_of_node(edges, node), key=lambda edge: strengths[edge])
        chosen[ranked[-per_node:]] = True
    return chosen
