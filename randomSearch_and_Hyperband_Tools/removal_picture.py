"""Picture of OSP-NAS: which operation left in which round, at what loss."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from generalNAS_tools.pictures.figures import finish, new_figure, save_figure
from generalNAS_tools.pictures.pictures import PALETTE
from generalNAS_tools.search_space.edge_masks import BoolArray, Masks
from generalNAS_tools.search_space.genotypes import CELL_KINDS, CellKind
from randomSearch_and_Hyperband_Tools.removals import Removal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"normal": "Normal cell", "reduce": "Reduction cell", "rnn": "RHN cell"}


def draw_history(removals: Sequence[Removal], start: Masks, path: str | os.PathLike[str]) -> None:
    """Draws per kind of cell the losses of the tried removals, and the round each operation left.

    Args:
        removals: all that were tried.
        start: the masks of the first supernet.
        path: PNG file to write.
    """
    figure = new_figure(22, 18, layout="constrained")
    panels = figure.subplots(2, len(CELL_KINDS), height_ratios=[1, 2.5])
    for column, (cell, kind) in enumerate(CELL_KINDS.items()):
        of_cell = [removal for removal in removals if removal.cell == cell]
        panels[0, column].set_title(TITLES[cell], fontsize=14)
        _draw_losses(panels[0, column], of_cell, kind.primitives)
        _draw_rounds(panels[1, column], of_cell, getattr(start, cell), kind)
    save_figure(figure, path)


def _draw_losses(axes: "Axes", removals: Sequence[Removal], primitives: Sequence[str]) -> None:
    """One point per tried removal: full if the operation left, hollow if it stayed."""
    for removed in (True, False):
        for index, primitive in enumerate(primitives[1:], 1):
            tried = [r for r in removals if r.primitive == primitive and r.removed is removed]
            axes.plot(
                [r.round for r in tried],
                [r.valid_loss for r in tried],
                "o",
                color=PALETTE[index],
                fillstyle="full" if removed else "none",
                label=primitive if removed else None,
            )
    axes.set(xlabel="round (hollow: stayed)", ylabel="validation loss without it")
    finish(axes, fontsize=8)


def _draw_rounds(
    axes: "Axes", removals: Sequence[Removal], start: BoolArray, kind: CellKind
) -> None:
    """The round of every removal as a number and a colour; what never left is marked."""
    rounds, names = np.full(start.shape, np.nan), kind.primitives
    for removal in removals:
        if removal.removed:
            rounds[removal.edge, names.index(removal.primitive)] = removal.round
    light = 2 * max((r.round for r in removals), default=1)
    axes.imshow(rounds, aspect="auto", interpolation="nearest", cmap="YlGnBu", vmin=0, vmax=light)
    axes.set_facecolor("0.9")
    for edge, primitive in np.argwhere(start):
        left = rounds[edge, primitive]
        text, colour = ("stays", "C3") if np.isnan(left) else (str(int(left)), "black")
        axes.text(primitive, edge, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=9)
    labels = [f"{edge.state} → {edge.node}" for edge in kind.edges]
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set(xlabel="round in which it left", ylabel="edge (state → node)")
