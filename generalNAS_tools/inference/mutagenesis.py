"""Saturation mutagenesis: what every single substitution changes.

Dimension letters: L length of the sequence (bp), T targets.
"""

import numpy as np
from numpy.typing import NDArray

from data_generators.planted_motifs import BASES, Codes
from generalNAS_tools.inference.predictor import LETTERS, Predictor


def mutate(codes: Codes, predictor: Predictor) -> NDArray[np.float32]:
    """Changes of the log odds by every base in every place, (T, 4, L), bases A, C, G, T.

    The sequence's own bases change nothing.

    Args:
        codes: the sequence, (L,).
        predictor: the network.
    """
    bases = np.array([BASES.index(letter) for letter in LETTERS], np.uint8)
    base, place = np.nonzero(bases[:, None] != codes)
    mutants = np.repeat(codes[None], len(place), axis=0)
    mutants[np.arange(len(place)), place] = bases[base]
    original, mutated = predictor.log_odds(codes[None]), predictor.log_odds(mutants)
    effects = np.zeros((len(predictor.targets), len(LETTERS), len(codes)), np.float32)
    effects[:, base, place] = (mutated - original).T
    return effects
