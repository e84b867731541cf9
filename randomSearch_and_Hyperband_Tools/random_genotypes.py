"""Architectures drawn uniformly from the search space (random search, Hyperband)."""

import numpy as np

from generalNAS_tools.search_space.edge_masks import edges_of_node
from generalNAS_tools.search_space.genotypes import CELL_KINDS, NONE, CellKind, Gene, Genotype


def random_genotype(rng: np.random.Generator) -> Genotype:
    """Draws one architecture, every one being equally likely.

    A CNN node takes two distinct earlier states, in rising order (node 0 thus both inputs), an
    RHN node one; every primitive but `none` is equally likely on every edge.
    """
    return Genotype.of(*(_random_genes(rng, kind) for kind in CELL_KINDS.values()))


def distinct_genotypes(rng: np.random.Generator, count: int) -> list[Genotype]:
    """Draws `count` architectures of which no two are the same network, in drawing order.

    States stand in rising order, so two genotypes are the same network only if they are equal.
    The space has more than 10^28 of them: a repeated draw is simply dropped.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"--num_samples {count}: expected at least 1 architecture")
    drawn: dict[Genotype, None] = {}
    while len(drawn) < count:
        drawn[random_genotype(rng)] = None
    return list(drawn)


def _random_genes(rng: np.random.Generator, kind: CellKind) -> list[Gene]:
    genes: list[Gene] = []
    for node in range(kind.nodes):
        choices = edges_of_node(kind.edges, node)
        for edge in np.sort(rng.choice(choices, size=kind.edges_per_node, replace=False)):
            primitive = kind.primitives[rng.integers(NONE + 1, len(kind.primitives))]
            genes.append((primitive, kind.edges[edge].state))
    return genes
