"""Draws a small directed graph left to right, with edge labels that don't overlap."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.pictures.figures import DPI

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

Array = NDArray[Any]

POINT = DPI / 72
"""Pixels of a point, the unit of font and line sizes."""
LABEL_SIZE = 11
NODE_RADIUS = 20
PARALLEL_BEND = 0.15
PLAIN_COLOUR = "0.72"
"""Colour of edges without a label."""


def draw_graph(axes: "Axes", graph: "nx.MultiDiGraph[str]", colours: Mapping[str, Any]) -> None:
    """Draws the graph into axes whose limits hold the unit circle.

    Args:
        axes: of a figure with `DPI` dots per inch.
        graph: nodes in topological order; edges with `label`, a text or None.
        colours: of the edges by label.
    """
    places = place_nodes(graph)
    pixels = {node: axes.transData.transform(place) for node, place in places.items()}
    centre = axes.transData.transform((0, 0))
    side = 2 * NODE_RADIUS * POINT
    taken = [_box(place, side, side) for place in pixels.values()]
    for source, target, parallel, label in graph.edges(keys=True, data="label"):
        bend = parallel * _inward_bend(pixels[source], pixels[target], centre)
        arrow = {
            "arrowstyle": "-|>",
            "color": colours[label] if label else PLAIN_COLOUR,
            "linewidth": 2.2 if label else 1,
            "linestyle": "-" if label else "--",
            "shrinkA": NODE_RADIUS,
            "shrinkB": NODE_RADIUS,
            "mutation_scale": 18,
            "connectionstyle": f"arc3,rad={bend}",
        }
        order = 2 if label else 1
        axes.annotate("", places[target], places[source], arrowprops=arrow, zorder=order)
        if label:
            taken.append(_free_box(pixels[source], pixels[target], bend, label, taken))
            _draw_label(axes, taken[-1], label, colours[label])
    for node, (x, y) in places.items():
        axes.plot(x, y, "o", markersize=2 * NODE_RADIUS, mfc="#eef3fa", mec="0.3", zorder=4)
        axes.text(x, y, node, ha="center", va="center", fontsize=10, zorder=5)


def place_nodes(graph: "nx.MultiDiGraph[str]") -> dict[str, tuple[float, float]]:
    """Places the nodes left to right in order on the unit circle, alternately above and below.

    The points are in convex position, so no straight edge passes through a third node.
    """
    x = np.linspace(-1, 1, len(graph))
    y = np.resize([1, -1], len(graph)) * np.sqrt(1 - x**2)
    return dict(zip(graph, zip(x.tolist(), y.tolist(), strict=True), strict=True))


def _draw_label(axes: "Axes", box: "Bbox", text: str, colour: Any) -> None:
    x, y = axes.transData.inverted().transform(box.get_points().mean(axis=0))
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    style: dict[str, Any] = {"fontsize": LABEL_SIZE, "ha": "center", "va": "center", "zorder": 3}
    axes.text(x, y, text, color=colour, bbox=background, **style)


def _inward_bend(source: Array, target: Array, centre: Array) -> float:
    """Bend of a parallel edge, towards the centre of the circle, where no node lies."""
    (dx, dy), (cx, cy) = target - source, centre - (source + target) / 2
    return math.copysign(PARALLEL_BEND, dy * cx - dx * cy)


def _free_box(
    source: Array, target: Array, bend: float, text: str, taken: Sequence["Bbox"]
) -> "Bbox":
    """The place along an edge where its label covers least of what is drawn, in pixels."""
    dx, dy = target - source
    control = (source + target) / 2 + bend * np.array([dy, -dx])
    width, height = (0.62 * len(text) + 1) * LABEL_SIZE * POINT, 1.8 * LABEL_SIZE * POINT
    boxes = []
    for t in sorted(np.linspace(0.1, 0.9, 41), key=lambda t: abs(t - 0.5)):
        centre = (1 - t) ** 2 * source + 2 * t * (1 - t) * control + t**2 * target
        boxes.append(_box(centre, width, height))
    return min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))


def _box(centre: Array, width: float, height: float) -> "Bbox":
    from matplotlib.transforms import Bbox  # slow: not for --help

    x, y = centre
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _overlap(box: "Bbox", other: "Bbox") -> float:
    common = box.intersection(box, other)
    return float(common.width * common.height) if common else 0.0
