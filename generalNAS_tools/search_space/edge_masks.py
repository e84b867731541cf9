"""Edges of the two cells, boolean masks over (edge, primitive), and masks ↔ genotype.

Dimension letters: E edges of a cell, P primitives.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.search_space.genotypes import (
    CELL_KINDS,
    CNN_CELL,
    NONE,
    RHN_CELL,
    Edge,
    Gene,
    Genotype,
)

BoolArray = NDArray[np.bool_]


CNN_EDGES = CNN_CELL.edges
"""The 14 edges of a CNN cell, numbered node by node."""
RHN_EDGES = RHN_CELL.edges
"""The 36 edges of the RHN cell, numbered node by node."""


class Masks(NamedTuple):
    """Which primitives exist on which edge of a supernet.

    Attributes:
        normal: (14, 9), normal cells.
        reduce: (14, 9), reduction cells.
        rnn: (36, 5), RHN cell.
    """

    normal: BoolArray
    reduce: BoolArray
    rnn: BoolArray

    def to_lists(self) -> list[list[list[bool]]]:
        """Plain lists, as a checkpoint holds them."""
        return [mask.tolist() for mask in self]

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[Sequence[bool]]]) -> "Masks":
        """The masks of `to_lists`."""
        return cls(*(np.array(rows, dtype=bool) for rows in lists))


def full_masks() -> Masks:
    """Every primitive on every edge, `none` included."""
    return Masks(*(np.ones(CELL_KINDS[name].mask_shape, dtype=bool) for name in Masks._fields))


def edges_of_node(edges: tuple[Edge, ...], node: int) -> list[int]:
    """Numbers of the edges that end in `node`, in state order."""
    return [number for number, edge in enumerate(edges) if edge.node == node]


def active_edges(mask: BoolArray) -> BoolArray:
    """Edges with at least one primitive, `none` included: (E, P) → (E,)."""
    return np.asarray(mask.any(axis=1))


def genotype_from_masks(masks: Masks) -> Genotype:
    """Reads a genotype off masks with two operations per CNN node and one per RHN node.

    Raises:
        ValueError: a node has another number of operations, or `none` is one of them.
    """
    return Genotype.of(*(_genes_from_mask(mask, name) for name, mask in masks._asdict().items()))


def masks_from_genotype(genotype: Genotype) -> Masks:
    """The masks in which exactly the genotype's operations are set."""
    masks = Masks(*(np.zeros_like(mask) for mask in full_masks()))
    for name, mask in masks._asdict().items():
        kind = CELL_KINDS[name]
        for position, (primitive, state) in enumerate(getattr(genotype, name)):
            number = kind.edges.index(Edge(position // kind.edges_per_node, state))
            mask[number, kind.primitives.index(primitive)] = True
    return masks


def _genes_from_mask(mask: BoolArray, name: str) -> list[Gene]:
    kind = CELL_KINDS[name]
    if mask.shape != kind.mask_shape:
        raise ValueError(f"{name} mask has shape {mask.shape}; expected {kind.mask_shape}")
    if mask[:, NONE].any():
        raise ValueError(f"{name} mask still holds `none`")
    genes: list[Gene] = []
    for node in range(kind.nodes):
        found = [
            (kind.primitives[k], kind.edges[number].state)
            for number in edges_of_node(kind.edges, node)
            for k in np.flatnonzero(mask[number])
        ]
        if len(found) != kind.edges_per_node:
            raise ValueError(
                f"{name} mask has {len(found)} operations on node {node}; "
                f"expected {kind.edges_per_node}"
            )
        genes.extend(found)
    return genes
