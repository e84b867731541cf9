"""Discarding whole edges between the stages of DEP-DARTS."""

from collections.abc import Sequence
from itertools import pairwise

from darts_tools.alphas import EdgeWeights
from darts_tools.derivation import edge_strengths
from darts_tools.stages import strongest_edges
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.genotypes import CELL_KINDS


def discard_edges(masks: Masks, weights: EdgeWeights, *, cnn_edges: int, rnn_edges: int) -> Masks:
    """Keeps at most `cnn_edges` edges per CNN node and `rnn_edges` per RHN node, the strongest.

    Args:
        masks: the active pairs, after the weak primitives were dropped.
        weights: softmax weights of the stage just trained; an edge is as strong as its largest
            non-`none` weight.
        cnn_edges: edges that survive on each node of the normal and of the reduction cell.
        rnn_edges: edges that survive on each node of the RHN.
    """
    kept = (cnn_edges, cnn_edges, rnn_edges)
    cells = zip(masks, weights, CELL_KINDS.values(), kept, strict=True)
    return Masks(
        *(
            mask & strongest_edges(edge_strengths(cell), kind.edges, per_node)[:, None]
            for mask, cell, kind, per_node in cells
        )
    )


def check_kept_edges(kept: Sequence[int], smallest: int, flag: str) -> None:
    """Checks the numbers of edges kept per node after each stage but the last.

    Raises:
        ValueError: a number is below `smallest`, what a genotype needs, or they rise.
    """
    rising = any(after > before for before, after in pairwise(kept))
    if rising or min(kept, default=smallest) < smallest:
        raise ValueError(
            f"{flag} is {list(kept)}; expected numbers of at least {smallest} that don't rise"
        )
