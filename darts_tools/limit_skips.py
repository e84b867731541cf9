"""Limiting the skip connections of the normal cell, as P-DARTS does after its last stage."""

import logging

from darts_tools.alphas import EdgeWeights, FloatArray
from darts_tools.derivation import SKIP, count_skips
from darts_tools.stages import final_genotype, final_mask
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, BoolArray, Masks, edges_of_node
from generalNAS_tools.search_space.genotypes import CNN_CELL, EDGES_PER_CNN_NODE, NONE, Genotype

logger = logging.getLogger(__name__)

MAX_SKIPS = CNN_CELL.operations


def limit_skips(masks: Masks, weights: EdgeWeights) -> dict[int, Genotype]:
    """The genotype for every largest number of skips in the normal cell, 8 down to 0.

    The chosen skip with the smallest weight is switched off and the cell derived again, until it
    fits (P-DARTS, Chen et al. 2019, section 3.3). A skip without which its node would lack an
    operation stays; limits below what that allows get the last genotype, and a warning is logged.

    Args:
        masks: the active pairs that the last stage trained.
        weights: their softmax weights at its end.
    """
    genotype = final_genotype(masks, weights)
    limited: dict[int, Genotype] = {}
    for limit in range(MAX_SKIPS, -1, -1):
        while count_skips(genotype) > limit:
            weakest = _weakest_skip(masks.normal, weights.normal)
            if weakest is None:
                break
            masks = masks._replace(normal=_without_skip(masks.normal, weakest))
            genotype = final_genotype(masks, weights)
        limited[limit] = genotype
    if count_skips(genotype):
        logger.warning(
            "no limit brings the normal cell below %d skip_connect: their edges hold nothing else",
            count_skips(genotype),
        )
    return limited


def _weakest_skip(mask: BoolArray, weights: FloatArray) -> int | None:
    """The edge of the weakest chosen skip that its node can do without; None if there is none."""
    chosen = final_mask(mask, weights, CNN_CELL)[:, SKIP]
    replaceable = [e for e, is_skip in enumerate(chosen) if is_skip and _is_replaceable(mask, e)]
    return min(replaceable, key=lambda edge: weights[edge, SKIP], default=None)


def _is_replaceable(mask: BoolArray, edge: int) -> bool:
    operations = _without_skip(mask, edge)[:, NONE + 1 :]
    node = edges_of_node(CNN_EDGES, CNN_EDGES[edge].node)
    return int(operations[node].any(axis=1).sum()) >= EDGES_PER_CNN_NODE


def _without_skip(mask: BoolArray, edge: int) -> BoolArray:
    reduced = mask.copy()
    reduced[edge, SKIP] = False
    return reduced
