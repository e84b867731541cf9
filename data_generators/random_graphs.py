"""Random architectures of genomeBONAS's search space."""

import numpy as np

from BONAS_search_space.graphs import (
    BONAS_CNN_PRIMITIVES,
    BONAS_RHN_PRIMITIVES,
    encode,
    genotype_of,
    is_fully_connected,
)
from generalNAS_tools.genotypes import (
    CNN_INPUTS,
    CNN_NODES,
    EDGES_PER_CNN_NODE,
    RHN_NODES,
    Gene,
    Genotype,
)


def random_architecture(rng: np.random.Generator) -> Genotype:
    """Draws an architecture uniformly from the valid, fully connected ones.

    Both cells draw every gene uniformly; what is no architecture is drawn again, so all that
    remain are equally likely.
    """
    rnn = [
        (str(rng.choice(BONAS_RHN_PRIMITIVES)), int(rng.integers(1 + node)))
        for node in range(RHN_NODES)
    ]
    while True:
        cnn = [gene for node in range(CNN_NODES) for gene in _random_pair(node, rng)]
        genotype = genotype_of(cnn, rnn)
        if is_fully_connected(encode(genotype)):
            return genotype


def _random_pair(node: int, rng: np.random.Generator) -> list[Gene]:
    """Two different genes (primitive, state) for a CNN node."""
    choices = [(name, state) for name in BONAS_CNN_PRIMITIVES for state in range(CNN_INPUTS + node)]
    picked = rng.choice(len(choices), size=EDGES_PER_CNN_NODE, replace=False)
    return [choices[index] for index in picked]
