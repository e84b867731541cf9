"""Costs are read from histories whose figures can be worked out by hand."""

import csv
import json

import pytest

from benchmarks.comparison.arms import RECALIBRATION, SEARCHES
from benchmarks.comparison.calibration import costs_of, read_archive
from benchmarks.comparison.one_run import Run
from benchmarks.comparison.tasks import Calibration
from benchmarks.comparison.work import Sizes

SIZES = Sizes(num_train=1000, num_valid=40, batch_size=10, num_steps=5)
"""5 steps and 4 batches an epoch."""


def history(folder, rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "history-run.csv").open("w") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)


def rows(*seconds, **level):
    """Every second epoch is validated."""
    return [
        {**level, "valid_loss": 0.5 if number % 2 else None, "seconds": value}
        for number, value in enumerate(seconds)
    ]


def test_frozen_and_alpha_epochs_of_one_supernet(tmp_path):
    # the first epoch warms up; then 4 frozen in all, then alpha epochs
    history(tmp_path, rows(99, 7, 5, 7, 10, 12, 10, 12))
    costs = costs_of(tmp_path, SEARCHES["darts"], SIZES)
    assert costs["frozen"] == pytest.approx((1.0, 0.5))
    assert costs["alpha"] == pytest.approx((2.0, 0.5))


def test_stages_are_measured_apart(tmp_path):
    stages = [rows(9, 7 * s, 5 * s, 12 * s, 10 * s, 12 * s, stage=s) for s in (1, 2, 3)]
    history(tmp_path, [row for stage in stages for row in stage])
    costs = costs_of(tmp_path, SEARCHES["pdarts"], SIZES)
    assert len(costs) == 6
    assert costs["stage 3 alpha"] == pytest.approx((6.0, 1.5))


def test_candidates_count_by_their_mean(tmp_path):
    history(tmp_path, rows(9, 6, 5, 6, 5, candidate=1) + rows(9, 16, 15, 16, 15, candidate=2))
    costs = costs_of(tmp_path, SEARCHES["random"], SIZES)
    assert costs == {"candidate": pytest.approx((2.0, 0.25))}


def test_scoring_and_proposing_of_a_search_with_an_archive(tmp_path):
    whole = {"phase": "supernet"}
    first = rows(9, 7, 5, iteration=0, **whole) + rows(9, 5, 5, 5, iteration=0, phase="subnets")
    for row in first[3:]:
        row["valid_loss"] = None
    second = rows(13, 7, 5, iteration=1, **whole)  # 6 of a usual epoch, 4 of scores, 3 more
    history(tmp_path, first + second)
    line = '{"iteration": 0, "seconds": 2, "score": 0.5, "auprc": 0.5}\n'
    (tmp_path / "archive-run.jsonl").write_text(line * 2 + '{"iteration": 1, "sec')
    assert read_archive(tmp_path) == [json.loads(line)] * 2
    costs = costs_of(tmp_path, SEARCHES["bonas"], SIZES)
    assert costs["proposal"] == (0.0, 3.0)
    assert costs["score"] == (0.0, 2 / (RECALIBRATION + 4))
    assert costs["supernet"] == pytest.approx((1.0, 0.5))
    assert costs["subnets"] == pytest.approx((1.0, 0.0))


def test_a_calibration_trains_on_batches_as_large_as_the_run_s(tmp_path):
    more = {"search": ""}
    run = Run(arm="bonas", kind="search", seed=0, folder=tmp_path, data={"batch_size": 10},
              frame={}, more=more, threads=1, device_kind="")  # fmt: skip
    line = Calibration(run, SIZES)._line("cpu")
    planned = SEARCHES["bonas"].shapes(50, SIZES)[0].flags
    for name in ("super_batch_size", "sub_batch_size"):
        assert f"--{name}={planned[name]}" in line
