"""Tests of differences agree with scipy's own and with cases counted by hand."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.comparison.significance import (
    MANN_WHITNEY,
    NO_TEST,
    WILCOXON,
    cliffs_delta,
    compare,
    compare_pairs,
    deviation_interval,
    holm,
    mean_interval,
    paired_p,
    rank_arms,
    unpaired_p,
)


def arm(*values):
    return dict(enumerate(values))


@pytest.mark.parametrize("count", [3, 5, 8, 12])
def test_pairs_agree_with_scipy_s_exact_tests(count):
    rng = np.random.default_rng(count)
    x, y = rng.normal(0.5, 1, count), rng.normal(0, 1, count)
    assert paired_p(x, y) == pytest.approx(stats.wilcoxon(x, y, method="exact").pvalue)
    few = y[:6]
    expected = stats.mannwhitneyu(x, few, method="exact").pvalue
    assert unpaired_p(x, few) == pytest.approx(expected)


def test_large_samples_are_scipy_s():
    x, y = np.random.default_rng(0).normal(size=(2, 30)).round(1)
    assert paired_p(x, y) == pytest.approx(stats.wilcoxon(np.round(x - y, 12)).pvalue)
    assert unpaired_p(x, y) == pytest.approx(stats.mannwhitneyu(x, y).pvalue)


def test_ties_are_counted_exactly():
    # Of the 20 ways to choose three of six, one is as extreme on each side.
    assert unpaired_p([1, 1, 1], [2, 2, 2]) == pytest.approx(0.1)
    # Signs of three equal differences: all alike in two of eight cases.
    assert paired_p([1, 2, 3], [0, 1, 2]) == pytest.approx(0.25)
    # One pair without a difference is left out, which leaves three.
    assert paired_p([1, 2, 3, 4], [0, 1, 2, 4]) == pytest.approx(0.25)
    # 0.3 - 0.2 and 0.2 - 0.1 differ by rounding alone.
    assert paired_p([0.3, 0.2, 0.7], [0.2, 0.1, 0.8]) == paired_p([3, 2, 7], [2, 1, 8])


def test_equal_arms_have_no_difference():
    scores = {name: arm(0.5, 0.6, 0.7, 0.8, 0.9, 0.95) for name in ("a", "b", "c")}
    for pair in compare_pairs(scores):
        assert (pair.difference, pair.delta, pair.p, pair.adjusted) == (0, 0, 1, 1)
        assert pair.verdict == "no difference"
    ranking = rank_arms(scores)
    assert ranking.ranks == (2, 2, 2)
    assert (ranking.statistic, ranking.p) == (0, 1)
    assert ranking.nemenyi == pytest.approx((1, 1, 1))


def test_a_clear_winner_is_found():
    scores = {"best": arm(*range(10, 18)), "worst": arm(*range(8))}
    (pair,) = compare_pairs(scores)
    assert pair.test == WILCOXON
    assert pair.p == pair.adjusted == pytest.approx(2 / 2**8)
    assert (pair.delta, pair.difference, pair.verdict) == (1, 10, "significant")
    (pair,) = compare_pairs(scores, unpaired=["worst"])
    assert pair.test == MANN_WHITNEY
    assert pair.p == pytest.approx(2 / 12870)


@pytest.mark.parametrize(
    ("count", "paired", "smallest", "verdict"),
    [
        (2, True, None, "fewer than 3 seeds"),
        (2, False, None, "fewer than 3 seeds"),
        (3, True, 0.25, "smallest possible p is 0.25"),
        (3, False, 0.1, "smallest possible p is 0.1"),
        (5, True, 0.0625, "smallest possible p is 0.0625"),
        (5, False, 2 / 252, "significant"),
        (6, True, 0.03125, "significant"),
    ],
)
def test_few_seeds_say_what_they_can_tell(count, paired, smallest, verdict):
    scores = {"a": arm(*range(10, 10 + count)), "b": arm(*range(count))}
    (pair,) = compare_pairs(scores, unpaired=[] if paired else ["b"])
    assert pair.p == pair.smallest == (None if smallest is None else pytest.approx(smallest))
    assert pair.verdict == verdict
    assert pair.delta == 1


def test_pairs_without_a_difference_leave_a_larger_smallest_p():
    scores = {"a": arm(1, 2, 3, 4, 5, 6), "b": arm(0, 1, 2, 3, 4, 6)}
    pair = compare("a", "b", scores, paired=True)
    assert pair.p == pair.smallest == pytest.approx(2 / 2**5)


def test_a_missing_run_leaves_the_shared_seeds():
    scores = {"a": {0: 1.0, 1: 2.0, 2: 3.0, 3: 9.0}, "b": {0: 0.0, 2: 2.5, 3: 7.0, 4: 99.0}}
    pair = compare("a", "b", scores, paired=True)
    assert (pair.test, pair.sizes, pair.p) == (WILCOXON, (3, 3), pytest.approx(0.25))
    assert pair.difference == pytest.approx(3.5 / 3)


def test_seeds_that_are_hardly_shared_make_two_samples():
    scores = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {2: 4.0, 3: 5.0, 4: 6.0}}
    pair = compare("a", "b", scores, paired=True)
    assert (pair.test, pair.p, pair.delta) == (MANN_WHITNEY, pytest.approx(0.1), -1)


def test_an_arm_without_scores_is_compared_with_nothing():
    scores = {"a": arm(1, 2, 3), "b": {}}
    pair = compare("a", "b", scores, paired=True)
    assert (pair.test, pair.difference, pair.delta, pair.p) == (NO_TEST, None, None, None)
    assert rank_arms(scores).arms == ()
    assert rank_arms({}).arms == ()
    assert compare_pairs({}) == []


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def test_untested_pairs_don_t_count_for_holm():
    scores = {"a": arm(*range(10, 18)), "b": arm(*range(8)), "few": arm(1, 2)}
    pairs = compare_pairs(scores)
    assert [pair.test for pair in pairs] == [WILCOXON, NO_TEST, NO_TEST]
    assert pairs[0].adjusted == pairs[0].p


def test_cliff_s_delta_by_hand():
    assert cliffs_delta([1, 2], [1, 3]) == pytest.approx((1 - 2) / 4)
    assert cliffs_delta([1, 1], [1, 1]) == 0


def test_ranking_agrees_with_scipy():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(7, 4)) + np.arange(4)
    scores = {name: arm(*table[:, i]) for i, name in enumerate("abcd")}
    ranking = rank_arms(scores)
    expected = stats.friedmanchisquare(*table.T)
    assert (ranking.statistic, ranking.p) == pytest.approx(tuple(expected))
    assert ranking.arms == ("d", "c", "b", "a")
    assert sum(ranking.ranks) == pytest.approx(10)


@pytest.mark.parametrize(("arms", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_the_table(arms, quantile):
    """Quantiles of Demšar (2006), table 5a."""
    scores = {str(i): arm(*(i + block for block in range(6))) for i in range(arms)}
    ranking = rank_arms(scores)
    expected = quantile * np.sqrt(arms * (arms + 1) / (6 * 6))
    assert ranking.critical_difference == pytest.approx(expected, rel=3e-4)
    assert len(ranking.nemenyi) == arms * (arms - 1) / 2


def test_nemenyi_needs_five_blocks_and_friedman_three():
    def ranked(blocks, arms=3):
        return rank_arms({str(i): arm(*range(i, i + blocks)) for i in range(arms)})

    assert ranked(5).critical_difference
    assert ranked(4).critical_difference is None
    assert ranked(4).p is not None
    assert ranked(2).p is None
    assert ranked(2).ranks == (1, 2, 3)
    assert ranked(6, arms=2).p is None


def test_only_complete_blocks_are_ranked():
    scores = {
        "a": arm(1, 2, 3, 4),
        "b": {0: 2.0, 2: 4.0, 3: 3.0},
        "c": arm(0, 0, 0, 0),
        "few": {0: 9.0},
    }
    ranking = rank_arms(scores)
    assert ranking.blocks == (0, 2, 3)
    assert dict(zip(ranking.arms, ranking.ranks, strict=True)) == pytest.approx(
        {"b": 4 / 3, "a": 5 / 3, "c": 3}
    )


def test_without_three_seeds_the_fullest_arms_are_ranked():
    scores = {"a": arm(1, 2), "b": arm(2, 1), "c": arm(0), "d": {}}
    ranking = rank_arms(scores)
    assert (set(ranking.arms), ranking.ranks, ranking.blocks) == ({"a", "b"}, (1.5, 1.5), (0, 1))


def test_a_p_as_small_as_can_be_is_told_from_no_difference():
    scores = {str(i): arm(*(10 * i + seed for seed in range(6))) for i in range(4)}
    assert {pair.verdict for pair in compare_pairs(scores)} == {
        "smallest possible p, but not significant among so many tests"
    }


@pytest.mark.parametrize("count", [3, 5])
def test_the_interval_of_few_means_holds_the_truth_as_often_as_it_says(count):
    draws = np.random.default_rng(0).normal(size=(2000, count))
    held = [low <= 0 <= high for low, high in map(mean_interval, draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_intervals():
    assert mean_interval([1, 2]) is None
    assert mean_interval([3, 3, 3]) == (3, 3)
    # The deviation is 1, the quantile of t with two degrees of freedom 4.3027.
    assert mean_interval([1, 2, 3]) == pytest.approx((2 - 2.4841, 2 + 2.4841), rel=1e-4)
    assert deviation_interval([1, 2]) is None
    # The deviation is 1, the quantiles of χ² 7.3778 and 0.050636.
    assert deviation_interval([1, 2, 3]) == pytest.approx((0.52066, 6.2847), rel=1e-4)
