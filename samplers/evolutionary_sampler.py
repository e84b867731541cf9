"""Proposes mutations of the best architectures measured so far."""

import numpy as np

from BONAS_search_space.graphs import architecture_key
from generalNAS_tools.search_space.genotypes import Genotype
from opendomain_utils.archive import Archive, rank
from opendomain_utils.mutation import mutate

POPULATION = 30
TOURNAMENT = 10


def sample_evolutionary(archive: Archive, count: int, rng: np.random.Generator) -> list[Genotype]:
    """Draws `count` distinct children that the archive doesn't hold.

    The population are the best-scored `POPULATION` architectures of the archive; the parent of
    each child is the best of `TOURNAMENT` of them drawn without replacement (of all, if fewer
    are scored).

    Raises:
        ValueError: the archive is empty.
    """
    if not archive.entries:
        raise ValueError("--sample_method ea: the archive holds 0 architectures; expected some")
    ranked = sorted(archive.entries, key=rank)[:POPULATION]
    known = archive.keys()
    children: list[Genotype] = []
    while len(children) < count:
        contestants = rng.choice(
            len(ranked), size=min(TOURNAMENT, len(ranked)), replace=False, shuffle=False
        )
        child = mutate(ranked[int(contestants.min())].genotype, rng, known)
        known.add(architecture_key(child))
        children.append(child)
    return children
