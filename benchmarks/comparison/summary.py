"""The numbers of a comparison's report: arms, differences between them, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.comparison.arm_summary import (
    SCORE,
    STATUSES,
    ArmSummary,
    is_finished,
    summarise_arm,
)
from benchmarks.comparison.records import (
    BASELINE,
    KINDS,
    ONE_ARCHITECTURE,
    RANDOM_AVERAGE,
    SEARCH,
    RunRecord,
)
from benchmarks.comparison.significance import (
    DECIMALS,
    Pair,
    Ranking,
    Scores,
    compare_pairs,
    rank_arms,
)

RANDOM_SEARCH = "random"
"""Arm that others are counted against."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of a report.

    Attributes:
        records: all runs, in the order of the arms and seeds.
        arms: by mean `SCORE`, best first, those without a finished run last.
        pairs: every two arms compared by `SCORE`; without `one_architecture`, no arm to win.
        ranking: of searches and baselines; those of `random_average` are architectures, no seeds.
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
    kinds = {record.arm: record.kind for record in records}
    ranked = {arm: own for arm, own in scores.items() if kinds[arm] in (SEARCH, BASELINE)}
    paired = {arm: own for arm, own in scores.items() if kinds[arm] != ONE_ARCHITECTURE}
    ranking = rank_arms(ranked)
    ranks = dict(zip(ranking.arms, ranking.ranks, strict=True))
    average = [record for record in ordered if record.kind == RANDOM_AVERAGE]
    arms = []
    for arm, own in scores.items():
        runs = [record for record in ordered if record.arm == arm]
        against = scores.get(RANDOM_SEARCH) if arm in ranked and arm != RANDOM_SEARCH else None
        arms.append(summarise_arm(runs, average, count_wins(own, against), ranks.get(arm)))
    return Summary(
        records=tuple(ordered),
        arms=tuple(arms),
        pairs=tuple(compare_pairs(paired, unpaired=sorted(set(paired) - set(ranked)))),
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
    """Wins, ties (equal scores) and losses over shared seeds; None where there are none."""
    shared = sorted(set(scores) & set(others or {}))
    if others is None or not shared:
        return None
    differences = np.round([scores[seed] - others[seed] for seed in shared], DECIMALS)
    wins, losses = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    return wins, len(shared) - wins - losses, losses


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
