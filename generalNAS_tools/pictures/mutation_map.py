"""Draws what substitutions change: a heat map and, above it, a logo of the sequence.

Dimension letters: L length of the sequence (bp).
"""

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.pictures.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"A": "#109648", "C": "#255c99", "G": "#f7b32b", "T": "#d62839"}
_INCHES = 0.13
"""Width of a base."""


def draw_mutations(
    effects: NDArray[np.floating],
    sequence: str,
    path: str | os.PathLike[str],
    *,
    title: str,
    start: int = 0,
) -> None:
    """Draws the change by every substitution, and how much each base is needed.

    A letter is as high as its substitutions lower the log odds on average; where they raise them
    it hangs down.

    Args:
        effects: changes of the log odds, rows A, C, G, T, (4, L); 0 for the sequence's own base.
        sequence: its L letters.
        path: PNG file to write.
        title: what it shows.
        start: number of the first base.

    Raises:
        ValueError: the file can't be written.
    """
    figure = new_figure(3 + _INCHES * len(sequence), 4.5, layout="constrained")
    logo, heat = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.2))
    limit = float(np.abs(effects).max()) or 1.0
    extent = (start - 0.5, start + len(sequence) - 0.5, len(_COLOURS) - 0.5, -0.5)
    image = heat.imshow(
        effects, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent
    )
    heat.set_yticks(range(len(_COLOURS)), list(_COLOURS))
    heat.set(xlabel="position (bp, from 0)", ylabel="mutated to")
    figure.colorbar(image, ax=[logo, heat], label="change of the log odds", fraction=0.03)
    _draw_logo(logo, sequence, -effects.sum(0) / (len(_COLOURS) - 1), start)
    logo.set(title=title, ylabel="importance")
    save_figure(figure, path)


def _draw_logo(axes: "Axes", sequence: str, heights: NDArray[np.floating], start: int) -> None:
    from matplotlib.font_manager import FontProperties  # slow: not for --help
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    font = FontProperties(family="DejaVu Sans", weight="bold")
    for place, (letter, height) in enumerate(zip(sequence, heights, strict=True), start=start):
        if letter in _COLOURS:
            glyph = TextPath((0, 0), letter, size=1, prop=font)
            box = glyph.get_extents()
            move = Affine2D().translate(-box.x0, -box.y0).scale(0.9 / box.width, 1 / box.height)
            move = move.scale(1, abs(height)).translate(place - 0.45, min(height, 0))
            axes.add_patch(PathPatch(move.transform_path(glyph), color=_COLOURS[letter], lw=0))
    axes.axhline(0, color="black", linewidth=0.6)
    low, high = min(heights.min(), 0), max(heights.max(), 0)
    margin = 0.05 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
