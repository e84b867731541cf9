"""The history of OSP-NAS: which operation left in which round, at what loss."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.genotypes import CELL_KINDS

log = logging.getLogger(__name__)


class Removal(NamedTuple):
    """An operation whose removal was tried.

    Attributes:
        round: from 1; the last joint choice counts as one more.
        cell: kind of cell, a field of `Masks`.
        edge: number of the edge.
        state: index of the state it leaves.
        node: index of the node it ends in.
        primitive: the operation's name.
        valid_loss: of the supernet without it and what else was removed along with it.
        removed: whether it left for good.
    """

    round: int
    cell: str
    edge: int
    state: int
    node: int
    primitive: str
    valid_loss: float
    removed: bool


class RemovalHistory:
    """All removals that were tried, in order; a state for checkpoints."""

    def __init__(self) -> None:
        self.removals: list[Removal] = []

    def add(
        self,
        number: int,
        masks: Masks,
        candidates: Sequence[Masks],
        *,
        losses: Sequence[float],
        after: Masks,
    ) -> None:
        """Adds a round.

        Args:
            number: of the round.
            masks: before it.
            candidates: those validated.
            losses: of the candidates.
            after: the masks after it.
        """
        for candidate, loss in zip(candidates, losses, strict=True):
            for cell, kind in CELL_KINDS.items():
                lost = getattr(masks, cell) & ~getattr(candidate, cell)
                for edge, primitive in np.argwhere(lost).tolist():
                    removed = not getattr(after, cell)[edge, primitive]
                    node, state = kind.edges[edge]
                    place = (edge, state, node, kind.primitives[primitive])
                    self.removals.append(Removal(number, cell, *place, loss, removed))
        log.info(
            "round %d: validation losses %s; operations left %s",
            number,
            " ".join(f"{loss:.4f}" for loss in losses),
            " + ".join(str(int(mask.sum())) for mask in after),
        )

    def write(self, run: RunDirectory) -> None:
        """Writes the table removals-<save>.csv."""
        run.files.write_table("removals", [removal._asdict() for removal in self.removals])

    def state_dict(self) -> dict[str, Any]:
        """Plain tuples in order."""
        return {"removals": [tuple(removal) for removal in self.removals]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes a state back."""
        self.removals = [Removal(*values) for values in state["removals"]]
