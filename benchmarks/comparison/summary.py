"""What a comparison's runs say, arm by arm and between arms: the numbers of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.comparison.records import RunRecord
from benchmarks.comparison.significance import (
    DECIMALS,
    Pair,
    Ranking,
    Scores,
    bootstrap_interval,
    compare_pairs,
    rank_arms,
)

SEARCH, BASELINE, RANDOM_AVERAGE = "search", "baseline", "random_average"
KINDS = (SEARCH, BASELINE, RANDOM_AVERAGE)
RANDOM_SEARCH = "random"
"""Arm that others are counted against."""
STATUSES = ("done", "failed", "diverged", "running", "missing")
SCORE = "test_auprc"
"""The score that tests, ranks and orders are made of."""
TEST_SCORES = ("test_auprc", "test_auprc_median", "test_auroc", "test_auroc_median")
TIE = 0.0005
"""Scores closer than that are a tie: the third decimal doesn't tell them apart."""


class Spread(NamedTuple):
    """Values over the runs of an arm: count, mean, standard deviation, 95 % interval of the mean.

    The deviation needs two values, the bootstrap interval three.
    """

    count: int
    mean: float | None
    deviation: float | None
    interval: tuple[float, float] | None


class Costs(NamedTuple):
    """Mean device-seconds of a finished run; `spent` is the sum over all runs, finished or not."""

    search: float | None
    final: float | None
    total: float | None
    planned: float | None
    spent: float


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


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of a report.

    Attributes:
        records: all runs, in the order of the arms and seeds.
        arms: by mean `SCORE`, best first, those without a finished run last.
        pairs: every two arms compared by `SCORE`.
        ranking: of the arms but `random_average`, whose numbers are architectures, no seeds.
        non_dominated: finished runs that no other beats in `SCORE` with as few parameters.
    """

    records: tuple[RunRecord, ...]
    arms: tuple[ArmSummary, ...]
    pairs: tuple[Pair, ...]
    ranking: Ranking
    non_dominated: tuple[RunRecord, ...]

    def finished(self, arm: str) -> list[RunRecord]:
        """Finished runs of an arm with a score, by seed."""
        return [record for record in self.records if record.arm == arm and is_finished(record)]


def is_finished(record: RunRecord) -> bool:
    """Whether the run is done and has a finite score."""
    score = getattr(record, SCORE)
    return record.status == "done" and score is not None and bool(np.isfinite(score))


def summarise(records: Sequence[RunRecord]) -> Summary:
    """Makes all numbers of a report, the same ones whatever the order of the records.

    Raises:
        ValueError: two records of the same run, or an unknown kind or status.
    """
    _check(records)
    found = {arm: _scores(records, arm) for arm in sorted({record.arm for record in records})}
    scores = dict(sorted(found.items(), key=lambda item: _badness(item[1])))
    order = list(scores)
    ordered = sorted(records, key=lambda record: (order.index(record.arm), record.seed))
    numbered = {record.arm for record in records if record.kind == RANDOM_AVERAGE}
    ranking = rank_arms({arm: own for arm, own in scores.items() if arm not in numbered})
    ranks = dict(zip(ranking.arms, ranking.ranks, strict=True))
    average = [record for record in ordered if record.kind == RANDOM_AVERAGE]
    arms = []
    for arm, own in scores.items():
        runs = [record for record in ordered if record.arm == arm]
        against = scores.get(RANDOM_SEARCH) if arm not in {RANDOM_SEARCH, *numbered} else None
        arms.append(_summarise_arm(runs, average, count_wins(own, against), ranks.get(arm)))
    return Summary(
        records=tuple(ordered),
        arms=tuple(arms),
        pairs=tuple(compare_pairs(scores, unpaired=sorted(numbered))),
        ranking=ranking,
        non_dominated=tuple(non_dominated(ordered)),
    )


def non_dominated(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Finished runs by parameters whose score no run with as few parameters reaches."""
    known = [record for record in records if is_finished(record) and record.parameters is not None]
    best, front = -np.inf, []
    for record in sorted(known, key=lambda record: (record.parameters, -getattr(record, SCORE))):
        if getattr(record, SCORE) > best:
            best = getattr(record, SCORE)
            front.append(record)
    return front


def count_wins(scores: Scores, others: Scores | None) -> tuple[int, int, int] | None:
    """Wins, ties and losses over the seeds that both have; None where there are none."""
    shared = sorted(set(scores) & set(others or {}))
    if others is None or not shared:
        return None
    differences = np.round([scores[seed] - others[seed] for seed in shared], DECIMALS)
    wins, losses = int(np.sum(differences >= TIE)), int(np.sum(differences <= -TIE))
    return wins, len(shared) - wins - losses, losses


def spread(values: Sequence[float | None]) -> Spread:
    """The spread of the values that are known."""
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    return Spread(
        len(known),
        float(np.mean(known)) if known else None,
        float(np.std(known, ddof=1)) if len(known) > 1 else None,
        bootstrap_interval(known),
    )


def _check(records: Sequence[RunRecord]) -> None:
    seen: set[tuple[str, int]] = set()
    for record in records:
        name = f"run {record.arm}, seed {record.seed}"
        for value, known in ((record.kind, KINDS), (record.status, STATUSES)):
            if value not in known:
                raise ValueError(f"{name}: {value!r} is none of {', '.join(known)}")
        if (record.arm, record.seed) in seen:
            raise ValueError(f"{name}: there are two records of it")
        seen.add((record.arm, record.seed))


def _scores(records: Sequence[RunRecord], arm: str) -> dict[int, float]:
    """Scores of an arm's finished runs by seed, in the seeds' order."""
    runs = [record for record in records if record.arm == arm and is_finished(record)]
    return {record.seed: getattr(record, SCORE) for record in sorted(runs, key=lambda r: r.seed)}


def _badness(scores: Scores) -> float:
    return -float(np.mean(list(scores.values()))) if scores else np.inf


def _summarise_arm(
    runs: Sequence[RunRecord],
    average: Sequence[RunRecord],
    wins: tuple[int, int, int] | None,
    rank: float | None,
) -> ArmSummary:
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
    spent = (value for record in runs for value in (record.search_seconds, record.final_seconds))
    planned = spread([record.planned_seconds for record in runs]).mean
    total = sum(known) if whole else None
    return Costs(search, final, total, planned, sum(value or 0.0 for value in spent))


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
