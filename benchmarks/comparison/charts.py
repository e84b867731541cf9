"""Charts of a comparison: anytime curves, seeds, sizes, critical differences.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; markers say the kind.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    Formatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)
from numpy.typing import NDArray

from benchmarks.comparison.arm_summary import SCORE
from benchmarks.comparison.records import (
    BASELINE,
    KINDS,
    ONE_ARCHITECTURE,
    RANDOM_AVERAGE,
    SEARCH,
)
from benchmarks.comparison.significance import Ranking
from benchmarks.comparison.summary import Summary
from generalNAS_tools.pictures.graph_drawing import DPI

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
"""Okabe and Ito's, with brown for their yellow, which is faint on white."""
MARKERS = {SEARCH: "o", BASELINE: "s", RANDOM_AVERAGE: "x", ONE_ARCHITECTURE: "+"}
GREY = "0.45"
SCORE_LABEL = "test AUPRC (mean over targets)"
SHORT_SCALE = 6
"""Logarithmic scales that span no more than that have ticks at equal distances."""
WIDTH = 8.5
"""Inches."""

Points = Sequence[tuple[float, float]]


class Look(NamedTuple):
    """How an arm is drawn everywhere."""

    colour: str
    marker: str


def looks_of(summary: Summary) -> dict[str, Look]:
    """The look of every arm, which doesn't depend on how well it does."""
    looks: dict[str, Look] = {}
    colours = itertools.cycle(COLOURS)
    for arm in sorted(summary.arms, key=lambda arm: (KINDS.index(arm.kind), arm.arm)):
        colour = next(colours) if arm.kind in (SEARCH, BASELINE) else GREY
        looks[arm.arm] = Look(colour, MARKERS[arm.kind])
    return looks


def draw_anytime(summary: Summary) -> Figure | None:
    """Best validation AUPRC against device-seconds: median of the seeds, and a quartile band."""
    curves = {
        arm.arm: [r.anytime for r in summary.records if r.arm == arm.arm and r.anytime]
        for arm in summary.arms
    }
    curves = {arm: own for arm, own in curves.items() if own}
    if not curves:
        return None
    figure, axes = _new_chart(4.6)
    looks = looks_of(summary)
    for arm, own in curves.items():
        times, scores = anytime_scores(own)
        low, median, high = np.quantile(scores, [0.25, 0.5, 0.75], axis=0)
        colour = looks[arm].colour
        label = f"{arm} ({len(own)})"
        axes.step(times, median, where="post", color=colour, linewidth=2, label=label)
        axes.plot(times[-1], median[-1], marker="o", color=colour)
        axes.fill_between(times, low, high, step="post", color=colour, alpha=0.18, linewidth=0)
    axes.set_xlabel("search cost (device-seconds, logarithmic)")
    _set_log_scale(axes, StrMethodFormatter("{x:,.10g}"))
    axes.set_ylabel("best validation AUPRC so far")
    axes.grid(alpha=0.25)
    _put_legend(axes, "arm (seeds)")
    return figure


def anytime_scores(curves: Sequence[Points]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Best scores of all seeds at common times.

    A seed keeps its last score; times begin where every seed has one.

    Returns:
        Times (T,) and scores (seeds, T).
    """
    start = max(curve[0][0] for curve in curves)
    known = {time for curve in curves for time, _ in curve if time >= start}
    times = np.array(sorted(known))
    scores = []
    for curve in curves:
        own, values = (np.array(column) for column in zip(*curve, strict=True))
        scores.append(values[np.searchsorted(own, times, side="right") - 1])
    return times, np.array(scores)


def draw_seeds(summary: Summary) -> Figure | None:
    """A strip per arm with the score of every seed, the mean and its 95 % interval."""
    if not any(arm.best for arm in summary.arms):
        return None
    figure, axes = _new_chart(1.1 + 0.42 * len(summary.arms))
    looks = looks_of(summary)
    for row, arm in enumerate(summary.arms):
        spread, look = arm.scores[SCORE], looks[arm.arm]
        scores = [getattr(record, SCORE) for record in summary.finished(arm.arm)]
        if spread.interval:
            axes.plot(spread.interval, [row, row], color=look.colour, linewidth=7, alpha=0.25)
        style: dict[str, Any] = {} if look.marker in "x+" else {"markerfacecolor": "white"}
        axes.plot(scores, [row] * len(scores), look.marker, color=look.colour, **style)
        if spread.mean is not None:
            axes.plot(spread.mean, row, "|", color=look.colour, markersize=19, markeredgewidth=2.5)
        if len(scores) < arm.runs:
            text = f"{arm.runs - len(scores)} of {arm.runs} without result"
            place: dict[str, Any] = {
                "transform": axes.get_yaxis_transform(),
                "va": "center",
                "fontsize": 8.5,
            }
            axes.text(1.01, row, text, color=GREY, **place)
        if arm.kind == RANDOM_AVERAGE and spread.mean is not None:
            axes.axvline(spread.mean, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
    axes.set_yticks(range(len(summary.arms)), [arm.arm for arm in summary.arms])
    axes.set(ylim=(len(summary.arms) - 0.5, -0.5), xlabel=SCORE_LABEL)
    axes.grid(axis="x", alpha=0.25)
    axes.tick_params(axis="y", length=0)
    return figure


def draw_sizes(summary: Summary) -> Figure | None:
    """Score against parameters of every network; those that no other dominates are joined."""
    if not summary.non_dominated:
        return None
    figure, axes = _new_chart(4.6)
    looks = looks_of(summary)
    front = [(float(r.parameters or 0), getattr(r, SCORE)) for r in summary.non_dominated]
    axes.step(*zip(*front, strict=True), where="post", color=GREY, linewidth=1.2, zorder=1)
    for arm in summary.arms:
        runs = [r for r in summary.finished(arm.arm) if r.parameters is not None]
        points = [(r.parameters, getattr(r, SCORE)) for r in runs]
        if not points:
            continue
        colour, marker = looks[arm.arm]
        style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
        axes.plot(*zip(*points, strict=True), label=arm.arm, markersize=6, alpha=0.85, **style)
    ring: dict[str, Any] = {"mfc": "none", "mec": "black", "linestyle": "none", "markersize": 11}
    axes.plot(*zip(*front, strict=True), "o", label="not dominated", **ring)
    axes.set(xlabel="parameters (logarithmic)", ylabel=SCORE_LABEL)
    _set_log_scale(axes, EngFormatter(sep=""))
    axes.grid(alpha=0.25, which="both")
    _put_legend(axes, None)
    return figure


def draw_ranks(ranking: Ranking) -> Figure | None:
    """Critical-difference diagram (Demšar, JMLR 7:1, 2006); bars join what may be chance."""
    if ranking.critical_difference is None:
        return None
    count, groups = len(ranking.arms), joined_groups(ranking)
    rows = (count + 1) // 2
    depth = 0.5 + 0.25 * len(groups)
    figure = Figure(figsize=(WIDTH, 1.3 + 0.32 * (rows + len(groups))), dpi=DPI)
    axes = figure.add_axes((0.2, 0.02, 0.6, 0.96))
    axes.set(xlim=(1, count), ylim=(depth + 0.55 * rows, -1.25))
    axes.set_axis_off()
    line: dict[str, Any] = {"color": "black", "clip_on": False, "solid_capstyle": "butt"}
    axes.plot([1, count], [0, 0], linewidth=1.2, **line)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, -0.12], linewidth=1.2, **line)
        axes.text(tick, -0.2, str(tick), ha="center", va="bottom")
    for place, (arm, rank) in enumerate(zip(ranking.arms, ranking.ranks, strict=True)):
        left = place < rows
        row = depth + 0.55 * (place if left else count - 1 - place)
        margin = 0.02 * (count - 1)
        end = 1.0 - margin if left else count + margin
        axes.plot([rank, rank, end], [0, row, row], linewidth=0.9, **line)
        text = f"{arm}  {rank:.2f} " if left else f" {rank:.2f}  {arm}"
        axes.text(end, row, text, ha="right" if left else "left", va="center")
    for level, (low, high) in enumerate(groups):
        ends = [ranking.ranks[low] - 0.03, ranking.ranks[high] + 0.03]
        axes.plot(ends, [0.25 + 0.25 * level] * 2, linewidth=4, **line)
    width = ranking.critical_difference
    if width <= count - 1:
        axes.plot([1, 1 + width], [-0.8, -0.8], linewidth=2, **line)
    axes.text(1, -0.9, f"critical difference {width:.2f}", ha="left", va="bottom", fontsize=9)
    axes.text(count, -0.9, "mean rank; 1 is best", ha="right", va="bottom", fontsize=9)
    return figure


def joined_groups(ranking: Ranking) -> list[tuple[int, int]]:
    """Longest runs of arms (first and last place) whose ranks differ by no critical difference."""
    groups: list[tuple[int, int]] = []
    width, ranks = ranking.critical_difference or 0.0, ranking.ranks
    for first in range(len(ranks)):
        last = max(i for i in range(first, len(ranks)) if ranks[i] - ranks[first] < width)
        if last > first and not (groups and groups[-1][1] >= last):
            groups.append((first, last))
    return groups


def _new_chart(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _set_log_scale(axes: Axes, formatter: Formatter) -> None:
    """A logarithmic x axis with plain numbers: 1, 2 and 5 times powers of ten if it is long."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high > SHORT_SCALE * low
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    if not wide:
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(formatter)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _put_legend(axes: Axes, title: str | None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    options: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "frameon": False}
    lines = [handle for handle in handles if isinstance(handle, Line2D)]
    axes.legend(lines, labels, title=title, alignment="left", fontsize=9, **options)
