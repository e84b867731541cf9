"""What the runs of one arm say together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.comparison.records import RANDOM_AVERAGE, SEARCH, RunRecord
from benchmarks.comparison.significance import mean_interval

STATUSES = ("done", "failed", "diverged", "running", "missing")
SCORE = "test_auprc"
"""The score that tests, ranks and orders are made of."""
TEST_SCORES = ("test_auprc", "test_auprc_median", "test_auroc", "test_auroc_median")


class Spread(NamedTuple):
    """Values over the runs of an arm: number, mean, standard deviation, 95 % interval of the mean.

    The deviation needs two values, the interval three.
    """

    number: int
    mean: float | None
    deviation: float | None
    interval: tuple[float, float] | None


class Costs(NamedTuple):
    """Mean device-seconds of a finished run; `spent` is the sum over all runs, finished or not."""

    search: float | None
    final: float | None
    total: float | None
    planned: float | None
    spent: float | None


class Seed(NamedTuple):
    """A seed and its score."""

    seed: int
    score: float


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """An arm over its runs.

    Attributes:
        arm, kind: as in its records.
        counts: number of runs by status.
        scores: of the test, by name (`TEST_SCORES`), over seeds.
        categories: by category of targets and score (`auroc`, `auprc`), the median over the
            category's targets, over seeds.
        costs: device-seconds.
        parameters, multiply_adds, inference_seconds: means over seeds.
        best, worst: seeds by `SCORE`.
        improvement: percent of the random average by which AUPRC and AUROC are better (Yang et
            al., ICLR 2020).
        against_random: wins, ties and losses against random search, over shared seeds.
        mean_rank: within the seeds that all arms share.
    """

    arm: str
    kind: str
    counts: Mapping[str, int]
    scores: Mapping[str, Spread]
    categories: Mapping[str, Mapping[str, Spread]]
    costs: Costs
    parameters: float | None
    multiply_adds: float | None
    inference_seconds: float | None
    best: Seed | None
    worst: Seed | None
    improvement: Mapping[str, float | None]
    against_random: tuple[int, int, int] | None
    mean_rank: float | None

    @property
    def runs(self) -> int:
        """All runs of the arm, whatever became of them."""
        return sum(self.counts.values())


def is_finished(record: RunRecord) -> bool:
    """Whether the run is done and has a finite score."""
    score = getattr(record, SCORE)
    return record.status == "done" and score is not None and bool(np.isfinite(score))


def spread(values: Sequence[float | None]) -> Spread:
    """The spread of the values that are known."""
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    return Spread(
        len(known),
        float(np.mean(known)) if known else None,
        float(np.std(known, ddof=1)) if len(known) > 1 else None,
        mean_interval(known),
    )


def summarise_arm(
    runs: Sequence[RunRecord],
    average: Sequence[RunRecord],
    wins: tuple[int, int, int] | None,
    rank: float | None,
) -> ArmSummary:
    """Summarises an arm.

    Args:
        runs: of the arm.
        average: runs of the random average.
        wins: wins, ties and losses against random search.
        rank: mean rank of the arm.
    """
    done = [record for record in runs if is_finished(record)]
    seeds = [Seed(record.seed, getattr(record, SCORE)) for record in done]
    is_average = runs[0].kind == RANDOM_AVERAGE
    return ArmSummary(
        arm=runs[0].arm,
        kind=runs[0].kind,
        counts={status: sum(r.status == status for r in runs) for status in STATUSES},
        scores={name: spread([getattr(r, name) for r in done]) for name in TEST_SCORES},
        categories=_categories(done),
        costs=_costs(runs, done),
        parameters=spread([record.parameters for record in done]).mean,
        multiply_adds=spread([record.multiply_adds for record in done]).mean,
        inference_seconds=spread([record.inference_seconds for record in done]).mean,
        best=max(seeds, key=lambda seed: seed.score, default=None),
        worst=min(seeds, key=lambda seed: seed.score, default=None),
        improvement={
            name: None if is_average else _improvement(name, done, average)
            for name in ("test_auprc", "test_auroc")
        },
        against_random=wins,
        mean_rank=rank,
    )


def _costs(runs: Sequence[RunRecord], done: Sequence[RunRecord]) -> Costs:
    search = spread([record.search_seconds for record in done]).mean
    final = spread([record.final_seconds for record in done]).mean
    known = [value for value in (search, final) if value is not None]
    whole = final is not None and (search is not None or done[0].kind != SEARCH)
    times = [value for r in runs for value in (r.search_seconds, r.final_seconds)]
    spent = [value for value in times if value is not None]
    planned = spread([record.planned_seconds for record in runs]).mean
    total = sum(known) if whole else None
    return Costs(search, final, total, planned, math.fsum(spent) if spent else None)


def _improvement(
    name: str, done: Sequence[RunRecord], average: Sequence[RunRecord]
) -> float | None:
    own = spread([getattr(record, name) for record in done]).mean
    other = spread([getattr(r, name) for r in average if is_finished(r)]).mean
    return None if own is None or not other else 100 * (own - other) / other


def _categories(done: Sequence[RunRecord]) -> dict[str, dict[str, Spread]]:
    """By category and score the median over a category's targets, over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for record in done:
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for target in record.targets:
            groups.setdefault(str(target.get("category") or ""), []).append(target)
        for category in filter(None, groups):
            for score in ("auroc", "auprc"):
                known = [t[score] for t in groups[category] if t.get(score) is not None]
                medians = found.setdefault(category, {}).setdefault(score, [])
                medians += [float(np.median(known))] if known else []
    return {
        category: {score: spread(values) for score, values in sorted(scores.items())}
        for category, scores in sorted(found.items())
    }
