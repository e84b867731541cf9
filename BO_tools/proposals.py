"""What proposes candidates and how they are ranked."""

from collections.abc import Callable, Sequence

import numpy as np

from BO_tools.acquisition import ACQUISITIONS
from BO_tools.surrogate import Surrogate
from generalNAS_tools.search_space.genotypes import Genotype
from opendomain_utils.archive import Archive
from samplers.evolutionary_sampler import sample_evolutionary
from samplers.random_sampler import sample_random

Sampler = Callable[[Archive, int, np.random.Generator], list[Genotype]]

SAMPLERS: dict[str, Sampler] = {"random": sample_random, "ea": sample_evolutionary}
"""What `--sample_method` picks."""


def rank(
    candidates: Sequence[Genotype], surrogate: Surrogate, acquisition: str, *, best: float
) -> list[Genotype]:
    """The candidates, most promising first.

    Args:
        candidates: to rank.
        surrogate: predicts their scores.
        acquisition: key in `ACQUISITIONS`.
        best: the best score measured so far.
    """
    promise = ACQUISITIONS[acquisition](surrogate.predict(candidates), best)
    return [candidates[index] for index in np.argsort(-promise, kind="stable")]
