"""Does a supernet rank architectures as training each alone does?

python -m benchmarks.supernet_ranking draws random architectures and scores each by three trained
supernets, evaluated with batch and with running statistics, and by training it alone. Kendall's τ
says how far the orders agree. The same command goes on after any interruption.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.supernet_judges import CRITERIA, JUDGES, Figures, Options, figures_of
from generalNAS_tools.files.atomic_files import reading
from generalNAS_tools.pictures.figures import new_figure, save_figure
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.runs.options import ScoreOptions, SupernetOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.genotypes import Genotype
from randomSearch_and_Hyperband_Tools.candidates import start_candidate, train_candidate
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import SampledOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

STATISTICS = {"batch": True, "running": False}
RESAMPLES = 1000
ALONE = "alone {}"
WIDE = 100
"""Ratio of largest to least score from which their axis is logarithmic."""
Array = NDArray[np.float64]


class Table:
    """All figures so far, in ranking-<save>.json, which a continued run goes on with."""

    def __init__(self, run: RunDirectory, genotypes: Sequence[Genotype]) -> None:
        path = run.files.path("ranking", "json")
        self._run, self.scores = run, {}
        self._architectures = [json.loads(genotype.to_json()) for genotype in genotypes]
        if run.continues and path.exists():
            with reading(path, "a ranking"):
                scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
                self.scores = {judge: {**rows} for judge, rows in scores.items()}

    def fill(self, judge: str, number: int, measure: Callable[[], Figures]) -> None:
        """Measures what isn't known yet, and writes it down."""
        known: dict[str, Figures] = self.scores.setdefault(judge, {})
        if str(number) not in known:
            known[str(number)] = measure()
            self.write()

    def write(self, **more: Any) -> None:
        """Writes the file."""
        content = {"scores": self.scores, "architectures": self._architectures, **more}
        self._run.files.write_json("ranking", content)

    def column(self, judge: str, criterion: str) -> Array:
        """Figures in the order of the architectures, NaN for None."""
        rows = self.scores[judge]
        values = [rows[str(number)][criterion] for number in range(len(self._architectures))]
        return np.array(values, dtype=float)

    @property
    def alone(self) -> list[str]:
        """Names of the trainings of the architectures alone."""
        return [name for name in self.scores if name.startswith(ALONE.format(""))]

    def truth(self, criterion: str) -> Array:
        """Mean figures of the architectures trained alone."""
        return np.mean([self.column(name, criterion) for name in self.alone], axis=0)


class Agreement(NamedTuple):
    """How far two orders agree.

    Attributes:
        tau: Kendall's τ-b; None, as all else, if one of the orders is all ties.
        low, high: 95 % percentile bootstrap interval over the architectures.
        rank_of_first: true rank of the architecture that the other order puts first.
    """

    tau: float | None
    low: float | None
    high: float | None
    rank_of_first: int | None

    @property
    def text(self) -> str:
        """τ with its interval."""
        if self.tau is None:
            return "τ –"
        interval = f"{self.tau:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return f"τ {interval}, its first is truly number {self.rank_of_first}"


def agreement(scores: Array, truth: Array, *, rising: bool) -> Agreement:
    """Compares two orders; NaN is the worst of all.

    Args:
        scores: (N,), which are judged.
        truth: (N,).
        rising: larger is better.
    """
    from scipy import stats  # slow, as what uses it: not for --help

    from benchmarks.comparison.significance import LEVEL

    sign = 1 if rising else -1
    first, second = (
        stats.rankdata(np.nan_to_num(sign * values, nan=-np.inf)) for values in (scores, truth)
    )
    tau = float(stats.kendalltau(first, second).statistic)
    if np.isnan(tau):
        return Agreement(None, None, None, None)
    low, high = np.nanquantile(_resampled(first, second), [LEVEL / 2, 1 - LEVEL / 2])
    rank = int(stats.rankdata(-second, method="min")[first.argmax()])
    return Agreement(tau, float(low), float(high), rank)


def _resampled(first: Array, second: Array) -> Array:
    """τ-b of architectures drawn with replacement; scipy's would take ten times as long."""
    one, two = (np.sign(np.subtract.outer(ranks, ranks)) for ranks in (first, second))
    draws = np.random.default_rng(0).integers(len(first), size=(RESAMPLES, len(first)))
    parts = (one * two, one * one, two * two)
    sums = np.array([[part[np.ix_(draw, draw)].sum() for part in parts] for draw in draws])
    with np.errstate(invalid="ignore"):  # 0 / 0 where a draw is all ties
        return np.asarray(sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2]))


def agreements(table: Table) -> list[dict[str, Any]]:
    """A row for every judge and criterion; trained alone once more, it is judged by the first."""
    rows = []
    for judge in table.scores:
        if judge == ALONE.format(1):
            continue
        for criterion, label in CRITERIA.items():
            again = judge in table.alone
            truth = table.column(ALONE.format(1), criterion) if again else table.truth(criterion)
            scores = table.column(judge, criterion)
            found = agreement(scores, truth, rising=criterion != "valid_loss")
            rows.append({"judge": judge, "criterion": label, **found._asdict()})
            log.info("%-16s %-6s %s", judge, label, found.text)
    return rows


def draw(table: Table, rows: Sequence[dict[str, Any]]) -> "Figure":
    """What each supernet says against what training alone says, a row of panels a criterion."""
    judges = [judge for judge in table.scores if judge.endswith(tuple(STATISTICS))]
    width, height = 2.5 * len(judges), 2.7 * len(CRITERIA)
    figure = new_figure(width, height, layout="constrained")
    grid = figure.subplots(len(CRITERIA), len(judges), squeeze=False)
    taus = {(row["judge"], row["criterion"]): row["tau"] for row in rows}
    for panels, (criterion, label) in zip(grid, CRITERIA.items(), strict=True):
        panels[0].set_ylabel(f"{label} by the supernet")
        for axes, judge in zip(panels, judges, strict=True):
            tau = taus[judge, label]
            axes.set_title(f"{judge}, τ {'–' if tau is None else f'{tau:.2f}'}", fontsize=9)
            scores = table.column(judge, criterion)
            axes.plot(table.truth(criterion), scores, "o", alpha=0.8)
            axes.set_xlabel(f"{label} alone")
            axes.tick_params(labelsize=7)
            if np.nanmax(scores, initial=0) > WIDE * np.nanmin(scores, initial=np.inf):
                axes.set_yscale("log")
    return figure


def main() -> None:
    """Scores all architectures in all ways, and compares the orders."""
    options = parse_options(Options, __doc__, save_dir="results/ranking", num_samples=12, epochs=7)
    options.check()
    chosen, epochs = options.ranking, options.length.epochs
    rng = np.random.default_rng(options.run.seed)
    genotypes = distinct_genotypes(rng, options.sampling.num_samples)
    setup = set_up(options, "ranking", supernet=SupernetOptions())
    run, table = setup.run, Table(setup.run, genotypes)
    trainings = list(enumerate(genotypes)) * chosen.repeats
    run.clock.total_epochs = len(JUDGES) * chosen.supernet_epochs + len(trainings) * epochs

    for _, name in run.through("supernet", list(JUDGES)):
        torch.manual_seed(options.run.seed)
        judge = JUDGES[name](genotypes, setup, options)
        run.track(**judge.stateful)
        for epoch in run.epochs(chosen.supernet_epochs):
            run.end_epoch({"candidate": name, **judge.epoch(epoch)})
        for statistics, batch in STATISTICS.items():
            judged = setup._replace(loop=replace(setup.loop, batch_statistics=batch))
            for number, genotype in enumerate(genotypes):
                table.fill(f"{name} {statistics}", number, partial(judge.score, genotype, judged))
        run.clock.start_epoch()  # the next one doesn't pay for the scores

    own = options.part(SampledOptions, score=ScoreOptions())
    for turn, (number, genotype) in run.through("training", trainings):
        candidate = start_candidate(turn, genotype, setup, own)
        run.track(**candidate.stateful())
        score = train_candidate(candidate, setup, epochs=epochs)
        size = float(score.parameters)
        sizes = {"auprc": size, "auroc": size, "valid_loss": -size}
        table.fill("parameters", number, partial(dict, sizes))
        alone = ALONE.format(turn // len(genotypes) + 1)
        table.fill(alone, number, partial(figures_of, score))
        log.info("trained %d of %d", turn + 1, len(trainings))

    rows = agreements(table)
    table.write(agreements=rows)
    run.files.write_table("agreements", rows)
    figure = draw(table, rows)
    for ending in ("png", "svg"):
        save_figure(figure, run.files.path("ranking", ending))


if __name__ == "__main__":
    run_command(main)
