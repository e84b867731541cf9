"""Edges of the two cells, boolean masks over (edge, primitive), and masks ↔ genotype.

Dimension letters: E edges of a cell, P primitives.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.genotypes import (
    CNN_INPUTS,
    CNN_NODES,
    CNN_PRIMITIVES,
    EDGES_PER_CNN_NODE,
    NONE,
    RHN_NODES,
    RHN_PRIMITIVES,
    Gene,
    Genotype,
)

BoolArray = NDArray[np.bool_]


class Edge(NamedTuple):
    """An edge from an earlier state into a node.

    Attributes:
        node: index of the node it ends in, from 0.
        state: index of the state it leaves (CNN: 0 and 1 are the cell's inputs, 2.. the nodes;
            RHN: 0 is the initial state, 1.. the nodes).
    """

    node: int
    state: int


def _edges(nodes: int, inputs: int) -> tuple[Edge, ...]:
    return tuple(Edge(i, j) for i in range(nodes) for j in range(inputs + i))


CNN_EDGES = _edges(CNN_NODES, CNN_INPUTS)
"""The 14 edges of a CNN cell, numbered node by node."""
RHN_EDGES = _edges(RHN_NODES, 1)
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
    cnn = (len(CNN_EDGES), len(CNN_PRIMITIVES))
    return Masks(
        np.ones(cnn, dtype=bool),
        np.ones(cnn, dtype=bool),
        np.ones((len(RHN_EDGES), len(RHN_PRIMITIVES)), dtype=bool),
    )


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
    return Genotype.of(
        _genes_from_mask(masks.normal, CNN_EDGES, CNN_PRIMITIVES, EDGES_PER_CNN_NODE, "normal"),
        _genes_from_mask(masks.reduce, CNN_EDGES, CNN_PRIMITIVES, EDGES_PER_CNN_NODE, "reduce"),
        _genes_from_mask(masks.rnn, RHN_EDGES, RHN_PRIMITIVES, 1, "rnn"),
    )


def masks_from_genotype(genotype: Genotype) -> Masks:
    """The masks in which exactly the genotype's operations are set."""
    masks = Masks(*(np.zeros_like(mask) for mask in full_masks()))
    for mask, genes, edges, primitives in (
        (masks.normal, genotype.normal, CNN_EDGES, CNN_PRIMITIVES),
        (masks.reduce, genotype.reduce, CNN_EDGES, CNN_PRIMITIVES),
        (masks.rnn, genotype.rnn, RHN_EDGES, RHN_PRIMITIVES),
    ):
        per_node = 1 if edges is RHN_EDGES else EDGES_PER_CNN_NODE
        for position, (name, state) in enumerate(genes):
            number = edges.index(Edge(position // per_node, state))
            mask[number, primitives.index(name)] = True
    return masks


def _genes_from_mask(
    mask: BoolArray,
    edges: tuple[Edge, ...],
    primitives: tuple[str, ...],
    per_node: int,
    name: str,
) -> list[Gene]:
    if mask.shape != (len(edges), len(primitives)):
        raise ValueError(
            f"{name} mask has shape {mask.shape}; expected {(len(edges), len(primitives))}"
        )
    if mask[:, NONE].any():
        raise ValueError(f"{name} mask still holds `none`")
    genes: list[Gene] = []
    for node in range(edges[-1].node + 1):
        found = [
            (primitives[k], edges[number].state)
            for number in edges_of_node(edges, node)
            for k in np.flatnonzero(mask[number])
        ]
        if len(found) != per_node:
            raise ValueError(
                f"{name} mask has {len(found)} operations on node {node}; expected {per_node}"
            )
        genes.extend(found)
    return genes
