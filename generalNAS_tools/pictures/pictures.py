"""Pictures of a genotype, of the alphas' course and of the learning curves, as PNG or SVG files."""

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.pictures.figures import finish, new_figure, save_figure, tick_whole_numbers
from generalNAS_tools.pictures.graph_drawing import PLAIN_COLOUR, draw_graph
from generalNAS_tools.search_space.genotypes import (
    CNN_CELL,
    CNN_NODES,
    RHN_CELL,
    RHN_NODES,
    CellKind,
    Gene,
    Genotype,
)

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

Array = NDArray[Any]

PALETTE = (
    *("0.5", "#1b9e77", "#d95f02", "#7570b3", "#e7298a"),
    *("#66a61e", "#e6ab02", "#a6761d", "#666666"),
)
"""Colours of the primitives in index order: grey for `none`, then Brewer's Dark2."""
SMALLEST_LIMIT = 0.01
"""Least end of the scale of log ratios: differences below 1 % are no differences."""


class _Cell(NamedTuple):
    title: str
    kind: CellKind
    states: tuple[str, ...]
    output: str


_CNN = (CNN_CELL, ("$c_{k-2}$", "$c_{k-1}$", *map(str, range(CNN_NODES))), "concat")
_CELLS = {
    "normal": _Cell("Normal cell", *_CNN),
    "reduce": _Cell("Reduction cell", *_CNN),
    "rnn": _Cell(
        "RHN cell ($s_0$: initial state from $x_t$ and $h_{t-1}$)",
        RHN_CELL,
        ("$s_0$", *map(str, range(1, RHN_NODES + 1))),
        "mean",
    ),
}


def draw_genotype(genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws the normal cell, the reduction cell and the RHN cell as graphs, left to right."""
    from matplotlib.lines import Line2D  # slow: not for --help

    figure = new_figure(15, 18)
    above: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "frameon": False}
    for row, (name, cell) in enumerate(_CELLS.items()):
        axes = figure.add_axes((0.01, 0.675 - row * 0.33, 0.98, 0.27))
        axes.set(xlim=(-1.08, 1.08), ylim=(-1.15, 1.15))
        axes.set_axis_off()
        axes.set_title(cell.title, fontsize=16, pad=32)
        genes = getattr(genotype, name)
        colours = dict(zip(cell.kind.primitives, PALETTE, strict=False))
        draw_graph(axes, _cell_graph(cell, genes), colours)
        handles = [
            Line2D([], [], color=colour, linewidth=3, label=primitive)
            for primitive, colour in colours.items()
            if primitive in {gene[0] for gene in genes}
        ]
        handles.append(Line2D([], [], color=PLAIN_COLOUR, linestyle="--", label="into the output"))
        axes.legend(handles=handles, ncols=len(handles), **above)
    save_figure(figure, path)


def draw_alphas(
    history: Mapping[str, Array], path: str | os.PathLike[str], *, stages: Sequence[int] = ()
) -> None:
    """Draws the course of the softmax weights as heat maps, one panel per kind of cell.

    A row is one primitive on one edge, a column an epoch. Colours are the weight's ratio to the
    uniform one (1 over the edge's active primitives) on a logarithmic scale that all panels share.
    Dropped primitives are grey from then on, discarded edges hatched.

    Args:
        history: for each kind of cell (`normal`, `reduce`, `rnn`) the softmax weights
            (epochs, E, P), zero or NaN where a primitive is inactive.
        path: PNG or SVG file to write.
        stages: the stage that each epoch belongs to, for a search in stages.

    Raises:
        ValueError: weights of another shape, or a file that can't be written.
    """
    figure = new_figure(22, 20)
    ratios = {name: _log_ratios(history[name], name) for name in _CELLS}
    largest = max(float(np.abs(ratio.filled(0)).max()) for ratio in ratios.values())
    for column, (name, cell) in enumerate(_CELLS.items()):
        axes = figure.add_axes((0.085 + column * 0.32, 0.04, 0.2, 0.92))
        _draw_heat_map(axes, ratios[name], cell, limit=max(largest, SMALLEST_LIMIT))
        _draw_stages(axes, stages)
    if len(set(stages)) > 1:
        hint = "grey: dropped operations    hatched: discarded edges"
        figure.text(0.5, 0.004, hint, ha="center", fontsize=12)
    save_figure(figure, path)


def draw_curves(history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draws loss and F1 over the epochs.

    Args:
        history: per epoch `train_loss`, `acc_train`, `valid_loss` and `acc_valid`; None or
            absent for an epoch without validation.
        path: PNG or SVG file to write.
    """
    figure = new_figure(13, 5, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, key, colour, label in (
        (left, "train_loss", "C0", "training"),
        (left, "valid_loss", "C1", "validation"),
        (right, "acc_train", "C0", "training"),
        (right, "acc_valid", "C1", "validation"),
    ):
        known = {i: row[key] for i, row in enumerate(history, 1) if row.get(key) is not None}
        axes.plot(
            list(known), list(known.values()), color=colour, marker="o", markersize=4, label=label
        )
    left.set(title="Loss", ylabel="binary cross-entropy")
    right.set(title="F1 at threshold 0.5", ylabel="weighted F1")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        finish(axes)
    save_figure(figure, path)


def _cell_graph(cell: _Cell, genes: Sequence[Gene]) -> "nx.MultiDiGraph[str]":
    """The cell's states in order, its output, and edges labelled by primitive (output: None)."""
    import networkx as nx  # slow: not for --help

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_nodes_from([*cell.states, cell.output])
    for position, (primitive, state) in enumerate(genes):
        node = cell.states[cell.kind.inputs + position // cell.kind.edges_per_node]
        graph.add_edge(cell.states[state], node, label=primitive)
    for node in cell.states[cell.kind.inputs :]:
        graph.add_edge(node, cell.output, label=None)
    return graph


def _log_ratios(weights: Array, name: str) -> "np.ma.MaskedArray[Any, Any]":
    """log2 of weights (epochs, E, P) over their edge's uniform weight; inactive ones masked."""
    weights, expected = np.asarray(weights, dtype=float), _CELLS[name].kind.mask_shape
    if weights.ndim != 3 or weights.shape[1:] != expected:
        raise ValueError(
            f"{name} weights have shape {weights.shape}; expected (epochs, *{expected})"
        )
    active = np.nan_to_num(weights) > 0
    ratios = np.where(active, weights, 1.0) * active.sum(axis=2, keepdims=True)
    return np.ma.masked_array(np.log2(np.where(active, ratios, 1.0)), ~active)


def _draw_heat_map(
    axes: "Axes", ratios: "np.ma.MaskedArray[Any, Any]", cell: _Cell, *, limit: float
) -> None:
    """Draws log ratios (epochs, E, P) with rows grouped by edge."""
    epochs, edges, count = ratios.shape
    image = axes.imshow(
        ratios.reshape(epochs, edges * count).T,
        aspect="auto",
        interpolation="nearest",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=(0.5, epochs + 0.5, edges * count - 0.5, -0.5),
    )
    axes.set_facecolor("0.85")
    axes.set_title(cell.title, fontsize=14, pad=22)
    axes.set_xlabel("epoch")
    tick_whole_numbers(axes)
    axes.set_yticks(range(edges * count), cell.kind.primitives * edges, fontsize=6)
    axes.tick_params(axis="y", length=0)
    _draw_edges(axes, ratios, cell)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, fraction=0.05)
    bar.set_label("log₂ of softmax weight / uniform weight")


def _draw_edges(axes: "Axes", ratios: "np.ma.MaskedArray[Any, Any]", cell: _Cell) -> None:
    """Names the edges beside their rows; hatches those that are discarded, from then on."""
    epochs, _, count = ratios.shape
    alive = ~np.ma.getmaskarray(ratios).all(axis=2)
    lives = (alive * np.arange(1, epochs + 1)[:, None]).max(axis=0)
    across = axes.get_yaxis_transform()
    hatched: dict[str, Any] = {"fc": "white", "ec": "0.7", "hatch": "///", "linewidth": 0}
    for number, edge in enumerate(cell.kind.edges):
        top = number * count - 0.5
        axes.broken_barh([(lives[number] + 0.5, epochs - lives[number])], (top, count), **hatched)
        axes.axhline(top, color="white", linewidth=1.5)
        name = f"{cell.states[edge.state]} → {cell.states[cell.kind.inputs + edge.node]}"
        axes.text(-0.27, top + count / 2, name, transform=across, ha="right", va="center", size=9)


def _draw_stages(axes: "Axes", stages: Sequence[int]) -> None:
    """Separates the stages of a search by lines and names them above."""
    starts = [i for i, stage in enumerate(stages) if i == 0 or stage != stages[i - 1]]
    if len(starts) < 2:
        return
    for start, end in pairwise([*starts, len(stages)]):
        axes.axvline(start + 0.5, color="black", linewidth=2)
        middle, name = (start + end + 1) / 2, f"stage {stages[start]}"
        above = axes.get_xaxis_transform()
        axes.text(middle, 1.004, name, transform=above, ha="center", fontsize=11)
