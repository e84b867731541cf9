"""What the charts of a comparison show, read from their lines."""

import numpy as np
import pytest
from matplotlib.text import Text

from benchmarks.comparison.charts import (
    anytime_scores,
    draw_anytime,
    draw_ranks,
    draw_seeds,
    draw_sizes,
    joined_groups,
    looks_of,
)
from benchmarks.comparison.significance import Ranking
from benchmarks.comparison.summary import summarise
from tests.benchmarks.comparison.record_cases import comparison, done


@pytest.fixture(scope="module")
def summary():
    return summarise(comparison(5))


def texts(figure):
    return {text.get_text().strip() for text in figure.findobj(Text)} - {""}


def test_an_arm_looks_the_same_however_well_it_does(summary):
    looks = looks_of(summary)
    assert len(set(looks.values())) == len(summary.arms) == len(looks)
    better = [done("darts", 9, 0.9) if r.arm == "darts" else r for r in comparison(1)]
    assert looks_of(summarise(better)) == looks


def test_scores_of_all_seeds_at_common_times():
    times, scores = anytime_scores([[(1, 0.1), (4, 0.4)], [(2, 0.2), (3, 0.3)]])
    assert times.tolist() == [2, 3, 4]
    assert scores.tolist() == [[0.1, 0.1, 0.4], [0.2, 0.3, 0.3]]


def test_anytime_curves_are_medians(summary):
    (axes,) = draw_anytime(summary).axes
    assert axes.get_xscale() == "log"
    assert {line.get_label() for line in axes.lines if line.get_label()[0] != "_"} == {
        f"{arm} (5)" for arm in ("darts", "pdarts", "bonas", "random")
    }
    line = next(line for line in axes.lines if line.get_label() == "darts (5)")
    curves = [r.anytime for r in summary.records if r.arm == "darts"]
    assert line.get_ydata()[-1] == np.median([curve[-1][1] for curve in curves])


def test_every_seed_is_on_its_strip(summary):
    (axes,) = draw_seeds(summary).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [a.arm for a in summary.arms]
    drawn = {(x, y) for line in axes.lines for x, y in line.get_xydata().tolist()}
    names = [arm.arm for arm in summary.arms]
    for record in summary.records:
        if record.test_auprc is not None:
            assert (record.test_auprc, names.index(record.arm)) in drawn
    assert {"3 of 3 without result", "1 of 2 without result"} <= texts(axes)


def test_the_non_dominated_networks_are_ringed(summary):
    (axes,) = draw_sizes(summary).axes
    ring = next(line for line in axes.lines if line.get_label() == "not dominated")
    expected = [[r.parameters, r.test_auprc] for r in summary.non_dominated]
    assert ring.get_xydata().tolist() == expected


@pytest.mark.parametrize(("low", "high"), [(1000, 1100), (2100, 4900), (10, 1e6)])
def test_logarithmic_scales_have_labels(low, high):
    records = [done("darts", 0, 0.3, parameters=int(low)), done("darts", 1, 0.4, parameters=high)]
    figure = draw_sizes(summarise(records))
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    left, right = figure.axes[0].get_xlim()
    shown = [t for t in figure.axes[0].get_xticks() if left <= t <= right]
    assert len(shown) >= 2
    assert any(labels)


def test_joined_groups_are_the_longest():
    ranking = Ranking(("a", "b", "c", "d"), (1.0, 2.0, 2.5, 4.0), (), critical_difference=1.6)
    assert joined_groups(ranking) == [(0, 2), (2, 3)]
    assert joined_groups(ranking._replace(critical_difference=0.4)) == []
    assert joined_groups(ranking._replace(critical_difference=9.0)) == [(0, 3)]


def test_the_rank_diagram_names_every_arm(summary):
    figure = draw_ranks(summary.ranking)
    for arm, rank in zip(summary.ranking.arms, summary.ranking.ranks, strict=True):
        assert {f"{arm}  {rank:.2f}", f"{rank:.2f}  {arm}"} & texts(figure)
    assert draw_ranks(summary.ranking._replace(critical_difference=None)) is None


def test_there_is_no_chart_of_nothing():
    nothing = summarise([])
    assert draw_anytime(nothing) is draw_seeds(nothing) is draw_sizes(nothing) is None
    assert draw_ranks(nothing.ranking) is None
