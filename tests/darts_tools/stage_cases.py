"""Reads the conformance files of the staged searches into masks, weights and genotypes."""

import numpy as np

from darts_tools.alphas import EdgeWeights, active_weights
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.genotypes import parse_genotype
from tests.conformance_data import load_json

METHODS = ("pdarts", "cwp_darts", "dep_darts")
KEPT_CNN = (6, 3, 1)
KEPT_RNN = (3, 2, 1)
CASES = [
    (method, number, case)
    for method in METHODS
    for number, case in enumerate(load_json(f"{method}_stages"))
]
NAMES = [f"{method}-{number}" for method, number, _ in CASES]


def masks_of(switches):
    return Masks(*(np.array(mask, dtype=bool) for mask in switches))


def compact(values, mask):
    """Full shape (E, P) → one row per edge that has any primitive, its active ones only."""
    rows = zip(np.asarray(values, dtype=np.float64), mask, strict=True)
    return [row[active] for row, active in rows if active.any()]


def expand(rows, mask):
    """Inverse of `compact`: → (E, P), 0 where the mask isn't set.

    Raises:
        ValueError: the rows don't fit the mask.
    """
    widths = [int(count) for count in mask.sum(axis=1) if count]
    found = [np.size(row) for row in rows]
    if found != widths:
        raise ValueError(f"rows of {found} values; the mask has {widths} active primitives")
    full = np.zeros(mask.shape)
    full[mask] = np.concatenate([np.ravel(row) for row in rows]) if rows else []
    return full


def alphas_of(stage, masks):
    return EdgeWeights(
        *(expand(stage[f"alphas_{name}"], mask) for name, mask in masks._asdict().items())
    )


def weights_of(stage, masks):
    return EdgeWeights(*map(active_weights, alphas_of(stage, masks), masks))


def genotype_of(value):
    return parse_genotype(value, source="conformance")


def random_weights(rng, masks):
    return EdgeWeights(*(active_weights(rng.normal(size=mask.shape), mask) for mask in masks))


def assert_same_masks(found, expected):
    for name, one, other in zip(Masks._fields, found, expected, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
