"""Tests of differences between arms; the unit is a seed, never a target.

Exact permutation tests by scipy wherever all permutations can be counted, so ties and equal values
are as good as any others; scipy's approximations for what is larger.
"""

import itertools
from collections.abc import Mapping, Sequence
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Scores = Mapping[int, float]
"""Scores of an arm by seed."""

LEVEL = 0.05
MIN_SEEDS = 3
MIN_BLOCKS = 5
"""Blocks from which Nemenyi's test is made and its diagram drawn."""
MAX_PERMUTATIONS = 200_000
DECIMALS = 12
"""Scores that differ by less than rounding are ties."""
WILCOXON, MANN_WHITNEY, NO_TEST = "paired Wilcoxon", "Mann–Whitney", "no test"


class Pair(NamedTuple):
    """Two arms compared.

    Attributes:
        first, second: names of the arms.
        test: which test it is; `NO_TEST` below `MIN_SEEDS`.
        sizes: number of scores of each that take part, (pairs, pairs) where the test is paired.
        difference: mean score of the first minus the second, over what takes part.
        delta: Cliff's δ, from -1 (the first is always worse) to 1.
        p: two-sided p of this test alone; None without one.
        smallest: the smallest p that so many seeds can give, less pairs without a difference.
        adjusted: p after Holm's correction over all tests of the comparison.
    """

    first: str
    second: str
    test: str
    sizes: tuple[int, int]
    difference: float | None
    delta: float | None
    p: float | None = None
    smallest: float | None = None
    adjusted: float | None = None

    @property
    def verdict(self) -> str:
        """What may be said about the difference."""
        if self.adjusted is None or self.smallest is None:
            return f"fewer than {MIN_SEEDS} seeds"
        if self.smallest == 1:
            return "no difference"
        if self.smallest > LEVEL:
            return f"smallest possible p is {self.smallest:.4g}"
        if self.adjusted <= LEVEL:
            return "significant"
        if self.p is not None and self.p <= self.smallest * (1 + 1e-9):
            return "smallest possible p, but not significant among so many tests"
        return "not significant"


class Ranking(NamedTuple):
    """Friedman's test over complete blocks, and Nemenyi's after it.

    Attributes:
        arms: names, by mean rank, best first.
        ranks: mean ranks; 1 is best.
        blocks: the seeds that all of these arms finished.
        statistic, p: Friedman's; None for fewer than three arms or `MIN_SEEDS` blocks.
        critical_difference: Nemenyi's, of mean ranks; None below `MIN_BLOCKS`.
        nemenyi: p of every pair of arms, in the order of `combinations(arms, 2)`.
    """

    arms: tuple[str, ...]
    ranks: tuple[float, ...]
    blocks: tuple[int, ...]
    statistic: float | None = None
    p: float | None = None
    critical_difference: float | None = None
    nemenyi: tuple[float, ...] = ()


def compare_pairs(scores: Mapping[str, Scores], unpaired: Sequence[str] = ()) -> list[Pair]:
    """Compares every two arms, with Holm's correction over all of the tests.

    Args:
        scores: by arm.
        unpaired: arms whose numbers aren't seeds that others share.
    """
    pairs = [
        compare(first, second, scores, paired=not {first, second} & set(unpaired))
        for first, second in itertools.combinations(scores, 2)
    ]
    tested = {number: pair.p for number, pair in enumerate(pairs) if pair.p is not None}
    for number, adjusted in zip(tested, holm(list(tested.values())), strict=True):
        pairs[number] = pairs[number]._replace(adjusted=adjusted)
    return pairs


def compare(first: str, second: str, scores: Mapping[str, Scores], *, paired: bool) -> Pair:
    """Compares two arms: by shared seeds where there are enough of them, else as two samples."""
    shared = sorted(set(scores[first]) & set(scores[second])) if paired else []
    if len(shared) >= MIN_SEEDS:
        x, y = (np.array([scores[arm][seed] for seed in shared]) for arm in (first, second))
        test, p, smallest = WILCOXON, paired_p(x, y), min(1.0, 2 / 2 ** len(_unequal(x, y)))
    else:
        x, y = (np.array(list(scores[arm].values()), dtype=float) for arm in (first, second))
        if min(len(x), len(y)) < MIN_SEEDS:
            known = len(x) and len(y)
            difference = float(x.mean() - y.mean()) if known else None
            delta = cliffs_delta(x, y) if known else None
            return Pair(first, second, NO_TEST, (len(x), len(y)), difference, delta)
        test, p = MANN_WHITNEY, unpaired_p(x, y)
        smallest = 2 / comb(len(x) + len(y), len(x))
    difference = float(x.mean() - y.mean())
    sizes = len(x), len(y)
    return Pair(first, second, test, sizes, difference, cliffs_delta(x, y), p, smallest)


def paired_p(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; pairs without a difference are left out."""
    differences = _unequal(x, y)
    if not len(differences):
        return 1.0
    if 2 ** len(differences) > MAX_PERMUTATIONS:
        return float(stats.wilcoxon(differences).pvalue)
    ranks = np.sign(differences) * stats.rankdata(np.abs(differences))
    return _permute((ranks,), "samples")


def _unequal(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    differences = np.round(np.subtract(x, y), DECIMALS)
    return differences[differences != 0]


def unpaired_p(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sided p of the test of Mann and Whitney."""
    x, y = (np.round(np.asarray(values), DECIMALS) for values in (x, y))
    if comb(len(x) + len(y), len(x)) > MAX_PERMUTATIONS:
        return float(stats.mannwhitneyu(x, y).pvalue)
    ranks = stats.rankdata(np.concatenate([x, y]))
    return _permute((ranks[: len(x)], ranks[len(x) :]), "independent")


def _permute(ranks: tuple[NDArray[np.float64], ...], kind: str) -> float:
    """Two-sided p of the sum of the first sample's ranks over all permutations."""
    result = stats.permutation_test(
        ranks,
        lambda first, *_, axis: first.sum(axis=axis),
        permutation_type=kind,
        n_resamples=np.inf,
        vectorized=True,
        batch=10_000,
    )
    return float(result.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values."""
    adjusted, largest = [1.0] * len(values), 0.0
    for step, index in enumerate(np.argsort(values, kind="stable")):
        largest = max(largest, min(1.0, (len(values) - step) * values[index]))
        adjusted[index] = largest
    return adjusted


def cliffs_delta(x: ArrayLike, y: ArrayLike) -> float:
    """How much oftener a score of `x` is above one of `y` than below, from -1 to 1."""
    signs = np.sign(np.round(np.subtract.outer(np.asarray(x), np.asarray(y)), DECIMALS))
    return float(signs.mean())


def rank_arms(scores: Mapping[str, Scores]) -> Ranking:
    """Ranks arms within the seeds that all of them share; tests whether ranks differ by chance.

    Arms with fewer than `MIN_SEEDS` scores don't take part, unless none has as many; then those
    with most scores do.
    """
    least = min(MIN_SEEDS, max(map(len, scores.values()), default=0))
    enough = {arm: own for arm, own in scores.items() if len(own) >= max(least, 1)}
    blocks = sorted(set.intersection(*(set(own) for own in enough.values()))) if enough else []
    if len(enough) < 2 or not blocks:
        return Ranking((), (), ())
    table = np.array([[own[block] for own in enough.values()] for block in blocks])
    mean_ranks = stats.rankdata(-np.round(table, DECIMALS), axis=1).mean(axis=0)
    order = np.argsort(mean_ranks, kind="stable")
    names = tuple(list(enough)[i] for i in order)
    ranking = Ranking(names, tuple(mean_ranks[order].tolist()), tuple(blocks))
    if len(names) < 3 or len(blocks) < MIN_SEEDS:
        return ranking
    if np.ptp(np.round(table, DECIMALS), axis=1).any():
        statistic, p = stats.friedmanchisquare(*np.round(table, DECIMALS).T)
    else:
        statistic, p = 0.0, 1.0  # all arms are equal in every block, where scipy divides by zero
    ranking = ranking._replace(statistic=float(statistic), p=float(p))
    return _with_nemenyi(ranking) if len(blocks) >= MIN_BLOCKS else ranking


def _with_nemenyi(ranking: Ranking) -> Ranking:
    """Adds Nemenyi's critical difference and p-values (Demšar, JMLR 7:1, 2006)."""
    count = len(ranking.arms)
    unit = np.sqrt(count * (count + 1) / (12 * len(ranking.blocks)))
    quantile = stats.studentized_range.ppf(1 - LEVEL, count, np.inf)
    pairs = itertools.combinations(ranking.ranks, 2)
    p = [float(stats.studentized_range.sf((b - a) / unit, count, np.inf)) for a, b in pairs]
    return ranking._replace(critical_difference=float(quantile * unit), nemenyi=tuple(p))


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean (Student's t, normal scores); None below `MIN_SEEDS` values."""
    if len(values) < MIN_SEEDS:
        return None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf(1 - LEVEL / 2, len(values) - 1)) * error
    return mean - half, mean + half


def deviation_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the standard deviation (χ², normal scores); None below `MIN_SEEDS`."""
    if len(values) < MIN_SEEDS:
        return None
    deviation, freedom = float(np.std(values, ddof=1)), len(values) - 1
    quantiles = stats.chi2.ppf([1 - LEVEL / 2, LEVEL / 2], freedom)
    low, high = deviation * np.sqrt(freedom / quantiles)
    return float(low), float(high)
