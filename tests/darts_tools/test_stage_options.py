"""Flags of the searches in stages, checked against each other."""

import math
import sys

import pytest

from darts_tools.stage_options import (
    EdgeOptions,
    StagedOptions,
    StageOptions,
    StagePlan,
    staged_rule,
)
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.runs.options import WeightOptions


def edges_of(cnn, rnn):
    return EdgeOptions(num_keep_cnn_edges=cnn, num_keep_rnn_edges=rnn)


@pytest.fixture
def parse(monkeypatch):
    def read(*line):
        words = [word for part in line for word in part.split()]
        monkeypatch.setattr(sys, "argv", ["script.py", *words])
        lengths = {"epochs": (25, 15, 15), "frozen_epochs": (15, 3, 3)}
        return parse_options(StagedOptions, None, dropout_rate=(0.1,), **lengths).stages

    return read


def test_the_defaults_are_three_stages(parse):
    plans = parse().plans()
    assert [plan.epochs for plan in plans] == [25, 15, 15]
    assert [plan.frozen_epochs for plan in plans] == [15, 3, 3]
    assert [plan.dropout_rate for plan in plans] == [0.1, 0.1, 0.1]
    assert [plan.kept_cnn for plan in plans] == [6, 3, 1]
    assert [plan.kept_rnn for plan in plans] == [3, 2, 1]
    assert EdgeOptions().kept(3) == [(4, 5), (3, 3)]


def test_one_number_serves_every_stage(parse):
    plans = parse("--epochs=7", "--frozen_epochs 2", "--dropout_rate 0.3").plans()
    assert [plan[:3] for plan in plans] == [(7, 2, 0.3)] * 3
    assert edges_of([3], [4]).kept(3) == [(3, 4), (3, 4)]


def test_the_kept_primitives_give_the_number_of_stages(parse):
    line = ["--num_keep_cnn 7 5 3 1", "--num_keep_rnn 4 3 2 1", "--epochs 4", "--frozen_epochs 0"]
    plans = parse(*line).plans()
    assert [(plan.kept_cnn, plan.kept_rnn) for plan in plans] == [(7, 4), (5, 3), (3, 2), (1, 1)]
    single = parse("--num_keep_cnn 1", "--num_keep_rnn 1", "--epochs 4", "--frozen_epochs 0")
    assert len(single.plans()) == 1
    assert EdgeOptions().kept(1) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--epochs 1 2", "--epochs has 2 values; expected 1 or 3 (one per stage)"),
        ("--frozen_epochs 1 2 3 4", "--frozen_epochs has 4 values; expected 1 or 3"),
        ("--dropout_rate 0.1 0.2", "--dropout_rate has 2 values; expected 1 or 3"),
        ("--frozen_epochs 1 16 1", "--frozen_epochs is 16 in stage 2; expected 0 to 15"),
        ("--epochs 3", "--frozen_epochs is 15 in stage 1; expected 0 to 3"),
        ("--num_keep_cnn 9 3 1", "--num_keep_cnn is [9, 3, 1]; expected numbers that fall"),
        ("--num_keep_cnn 6 3 2", "--num_keep_cnn is [6, 3, 2]"),
        ("--num_keep_rnn 3 3 1", "--num_keep_rnn is [3, 3, 1]"),
        ("--num_keep_cnn 6 1", "--num_keep_rnn has 3 values; expected 2, as --num_keep_cnn"),
    ],
)
def test_flags_that_do_not_fit_are_named(parse, line, message):
    with pytest.raises(ValueError, match=r"^--") as error:
        parse(line).plans()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (([4, 3, 2], [5]), "--num_keep_cnn_edges has 3 values; expected 1 or 2 (one per stage but"),
        (([4], [5, 4, 3]), "--num_keep_rnn_edges has 3 values"),
        (([1], [5]), "--num_keep_cnn_edges is [1, 1]; expected numbers of at least 2"),
        (([3, 4], [5]), "--num_keep_cnn_edges is [3, 4]; expected .* that don't rise"),
        (([4], [3, 5]), "--num_keep_rnn_edges is [3, 5]"),
    ],
)
def test_edges_that_do_not_fit_are_named(parse, edges, message):
    with pytest.raises(ValueError, match=r"^--") as error:
        edges_of(*edges).kept(3)
    for part in message.split(".*"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "line",
    ["--epochs 0", "--frozen_epochs -1", "--dropout_rate 1.1", "--max_skip_connects 9",
     "--num_keep_cnn 6 3 0", "--max_skip_connects -1", "--epochs 2.5", "--epochs"],
)  # fmt: skip
def test_values_out_of_range_leave_with_one_line(parse, line, capsys):
    with pytest.raises(SystemExit) as leave:
        parse(line)
    assert leave.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert line.split()[0] in message


def test_skip_dropout_of_a_plan_falls_then_starts_anew(parse):
    plan = parse("--epochs 4", "--frozen_epochs 2", "--dropout_rate 0.1 0.2 0.4").plans()[2]
    rates = [plan.skip_dropout(epoch) for epoch in range(4)]
    assert rates[:3] == pytest.approx([0.3, 0.2, 0.4])
    assert 0 < rates[3] < 0.4


def plan_of(*, epochs, frozen_epochs, rate):
    return StagePlan(epochs, frozen_epochs, rate, kept_cnn=1, kept_rnn=1)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 0.3 * 24 / 25),
        (9, 0.3 * 15 / 25),
        (10, 0.3),
        (11, 0.3 * math.exp(-0.2)),
        (24, 0.3 * math.exp(-2.8)),
    ],
)
def test_skip_dropout_rate(parse, epoch, expected):
    rate = plan_of(epochs=25, frozen_epochs=10, rate=0.3).skip_dropout(epoch)
    assert rate == pytest.approx(expected, rel=1e-12)


def test_skip_dropout_ends_at_zero_when_always_frozen():
    plan = plan_of(epochs=4, frozen_epochs=4, rate=0.1)
    rates = [plan.skip_dropout(epoch) for epoch in range(4)]
    assert rates == pytest.approx([0.075, 0.05, 0.025, 0.0])


def test_alphas_are_stepped_as_the_paper_says():
    assert staged_rule(WeightOptions(clip=0.5)) == ((0.5, 0.999), 0.5, False)
    for weights in (
        WeightOptions(),
        WeightOptions(one_clip=False),
        WeightOptions(optimizer="adamw"),
    ):
        assert staged_rule(weights).clip == 0.25
    assert StageOptions().max_skip_connects == 2
