"""Random architectures of genomeBONAS's search space."""

import numpy as np

from BONAS_search_space.graphs import (
    BONAS_CNN_PRIMITIVES,
    BONAS_RHN_PRIMITIVES,
    genotype_of,
    is_fully_connected,
)
from generalNAS_tools.search_space.genotypes import CNN_INPUTS, CNN_NODES, RHN_NODES, Gene, Genotype

_CNN_CHOICES = len(BONAS_CNN_PRIMITIVES) * (CNN_INPUTS + np.arange(CNN_NODES))
"""Genes (primitive, state) that each CNN node can take."""
_RHN_CHOICES = len(BONAS_RHN_PRIMITIVES) * (1 + np.arange(RHN_NODES))


def random_architecture(rng: np.random.Generator) -> Genotype:
    """Draws an architecture uniformly from the valid, fully connected ones.

    Every RHN node takes any of its genes, every CNN node any two different ones. A CNN cell
    that leaves an input unused is drawn again, so all that remain are equally likely.
    """
    rnn = [_gene(BONAS_RHN_PRIMITIVES, choice) for choice in rng.integers(_RHN_CHOICES)]
    while True:
        first = rng.integers(_CNN_CHOICES)
        second = (first + rng.integers(1, _CNN_CHOICES)) % _CNN_CHOICES
        pairs = np.stack([first, second], axis=1)
        cnn = [_gene(BONAS_CNN_PRIMITIVES, choice) for choice in pairs.ravel()]
        genotype = genotype_of(cnn, rnn)
        if is_fully_connected(genotype):
            return genotype


def _gene(primitives: tuple[str, ...], choice: int) -> Gene:
    state, primitive = divmod(int(choice), len(primitives))
    return primitives[primitive], state
