"""From softmax weights to a genotype, as DARTS derives it, and a look at its skips.

Dimension letters: E edges of a cell, P primitives.
"""

import logging

import numpy as np

from darts_tools.alphas import EdgeWeights, FloatArray
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, RHN_EDGES, Edge, edges_of_node
from generalNAS_tools.search_space.genotypes import (
    CNN_PRIMITIVES,
    EDGES_PER_CNN_NODE,
    NONE,
    RHN_PRIMITIVES,
    Gene,
    Genotype,
)

logger = logging.getLogger(__name__)

SKIP = CNN_PRIMITIVES.index("skip_connect")
COLLAPSED_SKIPS = 5
"""More than half of a normal cell's eight operations: what is called a collapsed search."""


def edge_strengths(weights: FloatArray) -> FloatArray:
    """Largest non-`none` weight of each edge: (E, P) → (E,)."""
    return np.asarray(weights[:, NONE + 1 :].max(axis=1))


def derive_genotype(weights: EdgeWeights) -> Genotype:
    """The discrete architecture of DARTS (Liu et al. 2019, section 2.4).

    Per CNN node the two strongest edges in falling order, per RHN node the strongest one, each
    with its best non-`none` primitive. Ties go to the lower state and the lower primitive.
    """
    return Genotype.of(
        _derive_cell(weights.normal, CNN_EDGES, CNN_PRIMITIVES, EDGES_PER_CNN_NODE),
        _derive_cell(weights.reduce, CNN_EDGES, CNN_PRIMITIVES, EDGES_PER_CNN_NODE),
        _derive_cell(weights.rnn, RHN_EDGES, RHN_PRIMITIVES, 1),
    )


def count_skips(genotype: Genotype) -> int:
    """Number of skip connections in the normal cell, 0 to 8."""
    return sum(name == CNN_PRIMITIVES[SKIP] for name, _ in genotype.normal)


def warn_if_collapsed(genotype: Genotype) -> None:
    """Logs a warning when most operations of the normal cell are skips (DARTS' collapse)."""
    skips = count_skips(genotype)
    if skips >= COLLAPSED_SKIPS:
        logger.warning(
            "%d of the %d operations of the normal cell are skip_connect: the search collapsed",
            skips,
            len(genotype.normal),
        )


def _derive_cell(
    weights: FloatArray, edges: tuple[Edge, ...], primitives: tuple[str, ...], per_node: int
) -> list[Gene]:
    strengths = edge_strengths(weights)
    best = weights[:, NONE + 1 :].argmax(axis=1)
    genes: list[Gene] = []
    for node in range(edges[-1].node + 1):
        ranked = sorted(edges_of_node(edges, node), key=lambda edge: -strengths[edge])
        genes += [(primitives[NONE + 1 + best[e]], edges[e].state) for e in ranked[:per_node]]
    return genes
