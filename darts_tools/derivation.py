"""From softmax weights to a genotype, as DARTS derives it, and a look at its skips.

Dimension letters: E edges of a cell, P primitives.
"""

import logging

import numpy as np

from darts_tools.alphas import EdgeWeights, FloatArray
from generalNAS_tools.search_space.edge_masks import edges_of_node
from generalNAS_tools.search_space.genotypes import (
    CELL_KINDS,
    CNN_PRIMITIVES,
    NONE,
    CellKind,
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
    return Genotype.of(*map(_derive_cell, weights, CELL_KINDS.values()))


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


def _derive_cell(weights: FloatArray, kind: CellKind) -> list[Gene]:
    strengths = edge_strengths(weights)
    best = weights[:, NONE + 1 :].argmax(axis=1)
    genes: list[Gene] = []
    for node in range(kind.nodes):
        ranked = sorted(edges_of_node(kind.edges, node), key=lambda edge: -strengths[edge])
        for e in ranked[: kind.edges_per_node]:
            genes.append((kind.primitives[NONE + 1 + best[e]], kind.edges[e].state))
    return genes
