"""The inverse of `encode`, which shows that a graph loses nothing of its architecture."""

import numpy as np

from BONAS_search_space.graphs import (
    BONAS_CNN_PRIMITIVES,
    BONAS_RHN_PRIMITIVES,
    RHN_FIRST,
    encode,
    genotype_of,
)
from generalNAS_tools.search_space.genotypes import CNN_INPUTS


def decode(graph):
    """Reads the genotype off a graph.

    Raises:
        ValueError: the matrices are not those of any architecture of this search space.
    """
    cnn_from = graph.cnn_adjacency.argmax(axis=0)[CNN_INPUTS:-1]
    cnn_states = np.where(cnn_from < CNN_INPUTS, cnn_from, CNN_INPUTS // 2 + cnn_from // 2)
    rhn_states = graph.rhn_adjacency.argmax(axis=0)[RHN_FIRST:-1] - (RHN_FIRST - 1)
    cnn_kinds = graph.cnn_operations.argmax(axis=1)[CNN_INPUTS:-1] - 1
    rhn_kinds = graph.rhn_operations.argmax(axis=1)[RHN_FIRST:-1] - 2
    genotype = genotype_of(
        [(BONAS_CNN_PRIMITIVES[k], int(s)) for k, s in zip(cnn_kinds, cnn_states, strict=True)],
        [(BONAS_RHN_PRIMITIVES[k], int(s)) for k, s in zip(rhn_kinds, rhn_states, strict=True)],
    )
    for name, matrix, expected in zip(graph._fields, graph, encode(genotype), strict=True):
        if not np.array_equal(matrix, expected):
            raise ValueError(f"{name} is not the matrix of an architecture")
    return genotype
