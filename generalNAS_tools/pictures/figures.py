"""Figures on paper: no backend and no screen, and matplotlib imported when the first is made."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generalNAS_tools.files.atomic_files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """A figure of so many inches; options are matplotlib's."""
    from matplotlib.figure import Figure  # slow: not for --help

    return Figure(figsize=(width, height), dpi=DPI, **options)


def tick_whole_numbers(axes: "Axes") -> None:
    """Marks no fractions of an epoch, a rank or a round on the x-axis."""
    from matplotlib.ticker import MaxNLocator  # slow: not for --help

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def finish(axes: "Axes", **legend: Any) -> None:
    """Whole numbers along x, a grid, and a legend where a line has a label.

    Args:
        axes: of a course over epochs, ranks or rounds.
        legend: its options.
    """
    tick_whole_numbers(axes)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**legend)


def save_figure(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure whole or not at all, as SVG or else PNG; the same figure, the same bytes."""
    from matplotlib import rc_context  # slow: not for --help

    kind = "svg" if Path(path).suffix == ".svg" else "png"
    with rc_context({"svg.hashsalt": "genomeNAS"}), atomic_write(path) as file:
        figure.savefig(file, format=kind, metadata={"Date": None})
