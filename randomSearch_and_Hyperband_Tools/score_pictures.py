"""Pictures of random search and Hyperband: scores by rank, learning curves with the cut-offs."""

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from generalNAS_tools.pictures.figures import finish, new_figure, save_figure
from generalNAS_tools.runs.criterion import CRITERIA
from randomSearch_and_Hyperband_Tools.halving import Rung
from randomSearch_and_Hyperband_Tools.scores import Scores


def draw_scores(scores: Scores, path: str | os.PathLike[str]) -> None:
    """Draws every candidate's score by rank, one colour per number of epochs trained."""
    figure = new_figure(8, 5, layout="constrained")
    axes = figure.subplots()
    ranked = [scores[number] for number in scores.ranking()]
    for colour, epochs in enumerate(sorted({score.epochs for score in ranked}, reverse=True)):
        points = [
            (rank, math.nan if (value := score.value(scores.criterion)) is None else value)
            for rank, score in enumerate(ranked, 1)
            if score.epochs == epochs
        ]
        axes.plot(*zip(*points, strict=True), "o", color=f"C{colour}", label=f"{epochs} epochs")
    label = CRITERIA[scores.criterion].label
    axes.set(title="Scores of the sampled architectures", xlabel="rank", ylabel=label)
    finish(axes)
    save_figure(figure, path)


def draw_halving(
    history: Sequence[Mapping[str, Any]],
    plans: Sequence[Sequence[Rung]],
    winner: int,
    *,
    criterion: str,
    path: str | os.PathLike[str],
) -> None:
    """Draws every candidate's score over its own epochs, one panel per bracket.

    Dashed lines are the cut-offs. Candidates that reached the last rung are blue, the winner red.

    Args:
        history: rows with `candidate` (from 1) and the criterion's column.
        plans: of the brackets; their candidates are numbered one after the other.
        winner: its number, from 0.
        criterion: what is drawn.
        path: PNG file to write.
    """
    figure = new_figure(8 * len(plans), 5, layout="constrained")
    panels = figure.subplots(1, len(plans), squeeze=False)[0]
    measured, first = defaultdict[int, list[float | None]](list), 0
    for row in history:
        measured[row["candidate"] - 1].append(row[CRITERIA[criterion].column])
    for number, (axes, plan) in enumerate(zip(panels, plans, strict=True), 1):
        last_cut = plan[-2].epochs if len(plan) > 1 else 0
        for candidate in range(first, first + plan[0].candidates):
            values = measured[candidate]
            epochs = [epoch for epoch, value in enumerate(values, 1) if value is not None]
            stays = bool(epochs) and epochs[-1] > last_cut
            colour = "C3" if candidate == winner else "C0" if stays else "0.7"
            scores = [values[epoch - 1] for epoch in epochs]
            axes.plot(epochs, scores, color=colour, marker="o", markersize=3, zorder=2 + stays)
        for rung in plan:
            axes.axvline(rung.epochs, color="0.4", linestyle="--", linewidth=1)
            text = f"{rung.candidates} → {1 if rung is plan[-1] else rung.survivors}"
            above = axes.get_xaxis_transform()
            axes.text(rung.epochs, 1, text, transform=above, va="bottom", ha="center")
        axes.set_title(f"Bracket {number}", pad=22)
        axes.set(xlabel="epochs of the candidate", ylabel=CRITERIA[criterion].label)
        finish(axes)
        first += plan[0].candidates
    save_figure(figure, path)
