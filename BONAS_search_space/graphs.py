"""Architectures as graphs: genotype → matrices, and the matrices the GCN gets.

Dimension letters: V vertices of a graph, K kinds of vertices.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.search_space.genotypes import (
    CNN_INPUTS,
    CNN_NODES,
    EDGES_PER_CNN_NODE,
    RHN_NODES,
    RHN_PRIMITIVES,
    Gene,
    Genotype,
)

IntArray = NDArray[np.int64]

BONAS_CNN_PRIMITIVES = ("max_pool_5", "skip_connect", "sep_conv_15", "dil_conv_15")
BONAS_RHN_PRIMITIVES = RHN_PRIMITIVES[1:]

CNN_GENES = CNN_NODES * EDGES_PER_CNN_NODE
CNN_VERTICES = CNN_INPUTS + CNN_GENES + 1
RHN_FIRST = 3
"""Vertices before the RHN nodes: the input x, the previous state h, the initial state s0."""
RHN_VERTICES = RHN_FIRST + RHN_NODES + 1


class ArchitectureGraph(NamedTuple):
    """An architecture as two directed acyclic graphs whose vertices are operations.

    Row i of an adjacency matrix marks the vertices that vertex i feeds; row i of an
    operations matrix is one-hot over the kinds of vertices. Each CNN node is two vertices,
    one per operation; whoever reads a node reads both, since the node is their sum. With
    `..` for the remaining vertices, a CNN graph begins and ends like this:

                        in0 in1 1a  1b  2a  2b  ..  out      input pool skip sep dil output
        input 0          0   0   1   0   1   0       0         1    0    0    0   0    0
        input 1          0   0   0   1   0   0       0         1    0    0    0   0    0
        node 1, first    0   0   0   0   0   1       1         0    1    0    0   0    0
        node 1, second   0   0   0   0   0   1       1         0    0    0    0   1    0
        node 2, first    0   0   0   0   0   0       1         0    0    1    0   0    0
        node 2, second   0   0   0   0   0   0       1         0    0    0    1   0    0
        ..
        output           0   0   0   0   0   0       0         0    0    0    0   0    1

    Every operation feeds the output, because the cell concatenates all its nodes. In the RHN
    graph, x and h feed the initial state s0 (the row `s0` reads: node 1 takes it), each node
    is one vertex, and every node feeds the output (their mean):

               x  h  s0 n1 n2 ..  out      input s0 tanh identity sigmoid relu output
        x      0  0  1  0  0       0         1   0   0      0       0      0     0
        h      0  0  1  0  0       0         1   0   0      0       0      0     0
        s0     0  0  0  1  0       0         0   1   0      0       0      0     0
        n1     0  0  0  0  1       1         0   0   1      0       0      0     0
        n2     0  0  0  0  0       1         0   0   0      0       0      1     0
        ..

    Attributes:
        cnn_adjacency: (11, 11), of both the normal and the reduction cell.
        cnn_operations: (11, 6).
        rhn_adjacency: (12, 12).
        rhn_operations: (12, 7).
    """

    cnn_adjacency: IntArray
    cnn_operations: IntArray
    rhn_adjacency: IntArray
    rhn_operations: IntArray


def check_architecture(genotype: Genotype, *, source: str) -> None:
    """Refuses a genotype that is no architecture of this search space.

    Raises:
        ValueError: naming `source` and what is foreign to the space.
    """
    if genotype.normal != genotype.reduce:
        raise ValueError(f"{source}: normal and reduction cell differ; BONAS expects them equal")
    for position, (name, _) in enumerate(genotype.normal):
        if name not in BONAS_CNN_PRIMITIVES:
            raise ValueError(
                f"{source}: normal[{position}] is {name!r}; expected one of {BONAS_CNN_PRIMITIVES}"
            )
    for node, (first, second) in enumerate(_pairs(genotype.normal)):
        if first == second:
            raise ValueError(f"{source}: CNN node {node} has {first} twice; expected two different")


def encode(genotype: Genotype) -> ArchitectureGraph:
    """Draws a genotype as graphs, its genes in their order.

    Raises:
        ValueError: the genotype is not of this search space.
    """
    check_architecture(genotype, source="genotype")
    cnn_adjacency = np.zeros((CNN_VERTICES, CNN_VERTICES), dtype=np.int64)
    for position, (_, state) in enumerate(genotype.normal):
        cnn_adjacency[_cnn_vertices(state), CNN_INPUTS + position] = 1
    cnn_adjacency[CNN_INPUTS:-1, -1] = 1
    rhn_adjacency = np.zeros((RHN_VERTICES, RHN_VERTICES), dtype=np.int64)
    rhn_adjacency[: RHN_FIRST - 1, RHN_FIRST - 1] = 1
    for position, (_, state) in enumerate(genotype.rnn):
        rhn_adjacency[RHN_FIRST - 1 + state, RHN_FIRST + position] = 1
    rhn_adjacency[RHN_FIRST:-1, -1] = 1
    cnn_kinds = [1 + BONAS_CNN_PRIMITIVES.index(name) for name, _ in genotype.normal]
    rhn_kinds = [2 + BONAS_RHN_PRIMITIVES.index(name) for name, _ in genotype.rnn]
    return ArchitectureGraph(
        cnn_adjacency,
        _one_hot([0, 0, *cnn_kinds, 1 + len(BONAS_CNN_PRIMITIVES)]),
        rhn_adjacency,
        _one_hot([0, 0, 1, *rhn_kinds, 2 + len(BONAS_RHN_PRIMITIVES)]),
    )


def with_global_vertex(adjacency: IntArray, operations: IntArray) -> tuple[IntArray, IntArray]:
    """A graph as the predictors get it: with self-loops and a vertex that sees all others.

    Args:
        adjacency: (V, V), row i marks what vertex i feeds.
        operations: (V, K).

    Returns:
        The adjacency (V + 1, V + 1), whose row i marks what vertex i *receives* from, and the
        operations (V + 1, K + 1); the global vertex comes last (BONAS, section 3.1).
    """
    vertices, kinds = operations.shape
    receives = np.eye(vertices + 1, dtype=np.int64)
    receives[:-1, :-1] += adjacency.T
    receives[-1] = 1
    extended = np.zeros((vertices + 1, kinds + 1), dtype=np.int64)
    extended[:-1, :-1] = operations
    extended[-1, -1] = 1
    return receives, extended


def is_fully_connected(genotype: Genotype) -> bool:
    """Whether every vertex of its graphs lies on a path from an input to the output.

    Every operation has a source and is part of the output, and the first RHN node can only read
    s0, so that is: the CNN cell's operations read both of its inputs.
    """
    return {state for _, state in genotype.normal} >= set(range(CNN_INPUTS))


def canonical(genotype: Genotype) -> Genotype:
    """The genotype with the two genes of each CNN node sorted: their order has no meaning."""
    genes = [gene for pair in _pairs(genotype.normal) for gene in sorted(pair)]
    return genotype_of(genes, list(genotype.rnn))


def architecture_key(genotype: Genotype) -> str:
    """Text that is equal for two genotypes exactly if they are the same architecture."""
    return canonical(genotype).to_json()


def genotype_of(cnn: list[Gene], rnn: list[Gene]) -> Genotype:
    """A genotype whose reduction cell equals its normal cell."""
    return Genotype.of(cnn, cnn, rnn)


def _pairs(genes: tuple[Gene, ...]) -> list[tuple[Gene, Gene]]:
    return list(zip(genes[::2], genes[1::2], strict=True))


def _cnn_vertices(state: int) -> list[int]:
    """The vertices whose sum is a state of the CNN cell: one input or two operations."""
    if state < CNN_INPUTS:
        return [state]
    first = CNN_INPUTS + EDGES_PER_CNN_NODE * (state - CNN_INPUTS)
    return [first, first + 1]


def _one_hot(kinds: list[int]) -> IntArray:
    return np.eye(kinds[-1] + 1, dtype=np.int64)[kinds]
