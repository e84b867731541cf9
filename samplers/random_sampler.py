"""Proposes architectures uniformly at random."""

import numpy as np

from BONAS_search_space.graphs import architecture_key
from data_generators.random_graphs import random_architecture
from generalNAS_tools.search_space.genotypes import Genotype
from opendomain_utils.archive import Archive


def sample_random(archive: Archive, count: int, rng: np.random.Generator) -> list[Genotype]:
    """Draws `count` distinct architectures that the archive doesn't hold."""
    known = archive.keys()
    drawn: list[Genotype] = []
    while len(drawn) < count:
        genotype = random_architecture(rng)
        key = architecture_key(genotype)
        if key not in known:
            known.add(key)
            drawn.append(genotype)
    return drawn
