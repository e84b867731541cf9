"""How well the surrogate predicts, iteration by iteration: kept in checkpoints, drawn, written."""

import logging
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from BO_tools.predictor_quality import FOLDS, PredictorQuality, cross_validate
from generalNAS_tools.pictures.figures import new_figure, save_figure
from generalNAS_tools.runs.command import Setup
from opendomain_utils.archive import Archive
from predictors.predictor_training import PredictorOptions

log = logging.getLogger(__name__)


class QualityReport:
    """A row per iteration: rank correlations of held-out predictions with measured scores."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(
        self, iteration: int, archive: Archive, setup: Setup, *, options: PredictorOptions
    ) -> None:
        """Cross-validates the surrogate on the archive; logs, writes and draws the result."""
        if len({entry.score for entry in archive.entries}) == 1 < len(archive):
            log.warning(
                "iteration %d: all %d scores are %.4f, the search can't tell them apart; "
                "train longer (--epochs, --num_steps)",
                *(iteration, len(archive), archive.best().score),
            )
        if len(archive) < FOLDS:
            log.info("iteration %d: fewer than %d scores, no cross-validation", iteration, FOLDS)
            return
        quality = cross_validate(
            archive.entries,
            options,
            np.random.default_rng([setup.loop.seed, iteration, len(archive)]),
            device=setup.device,
        )
        log.info(
            "iteration %d: held-out predictions of %d architectures: Spearman %.3f, Kendall %.3f",
            *(iteration, len(archive), quality.spearman, quality.kendall),
        )
        self._rows.append(
            {
                "iteration": iteration,
                "architectures": len(archive),
                "spearman": _or_none(quality.spearman),
                "kendall": _or_none(quality.kendall),
            }
        )
        setup.run.files.write_json("predictor_quality", self._rows)
        setup.run.draw("predictor_quality", draw_quality, quality)

    def state_dict(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": list(self._rows)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes a state back."""
        self._rows = list(state["rows"])


def draw_quality(quality: PredictorQuality, path: str | os.PathLike[str]) -> None:
    """Draws predicted against measured scores, each predicted without itself."""
    figure = new_figure(6, 6, layout="constrained")
    axes = figure.subplots()
    axes.scatter(quality.measured, quality.predicted, s=16, alpha=0.6)
    axes.axline((quality.measured.mean(),) * 2, slope=1, color="0.6", linestyle="--", zorder=0)
    axes.set(
        title=f"Spearman {quality.spearman:.2f}, Kendall {quality.kendall:.2f}",
        xlabel="measured score",
        ylabel="predicted, each without its own score",
    )
    axes.grid(alpha=0.3)
    save_figure(figure, path)


def _or_none(value: float) -> float | None:
    """NaN is no JSON."""
    return None if math.isnan(value) else value
