"""The benchmarks run on a small network and report what the README quotes; no time is judged."""

import functools
import importlib
import itertools
import json
import sys
from unittest import mock

import pytest
import torch
from torch import nn

from benchmarks import bench
from benchmarks.machine import count_operations

pytestmark = pytest.mark.long
SMALL = {
    "seq_size": 24,
    "num_targets": 3,
    "batch_size": 2,
    "repeats": 1,
    "threads": 1,
    "init_channels": 2,
    "layers": 2,
    "device": "cpu",
}
MEGABYTES = {"Supernet": 10, "PlainSupernet": 40}


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    def run(name, **flags):
        output = tmp_path / "report.json"
        flags = SMALL | {"output": output} | flags
        monkeypatch.setattr(sys, "argv", [name, *(f"--{k}={v}" for k, v in flags.items())])
        importlib.import_module(f"benchmarks.{name}").main()
        report = json.loads(output.read_text())
        assert report["settings"]["seq_size"] == 24
        assert report["settings"]["torch"]
        assert set(report["results"]) <= set(words_of(capsys.readouterr().out, report["results"]))
        return report["results"]

    return run


def say_seconds(monkeypatch, module, *seconds):
    """Work is done, but takes these seconds in turn."""
    turns = itertools.cycle(seconds)

    def seconds_of(work, device):
        work()
        return next(turns)

    monkeypatch.setattr(f"benchmarks.{module}.seconds_of", seconds_of)


def words_of(printed, names):
    """The names that a line of the printed table or list begins with."""
    lines = [line.lstrip("|- ") for line in printed.splitlines()]
    return [name for name in names for line in lines if line.startswith(name)]


def test_every_step_is_compared_with_its_plain_form(report, monkeypatch):
    monkeypatch.setattr("benchmarks.bench.small_network", lambda options: options)
    whole = bench.peak_memory
    told = lambda make, *more: whole(make, *more) and MEGABYTES[make.__name__]  # noqa: E731
    monkeypatch.setattr(bench, "peak_memory", told)
    monkeypatch.setattr("benchmarks.bench.peak_product", lambda device: (list, 6_000_000))
    seconds = {"plain": 6.0, "fast": 1.5, "product": 3.0}

    def in_turn(work, *_):
        for each in work.values():
            each()
        return {name: [seconds[name]] for name in work}

    monkeypatch.setattr(bench, "in_turn", in_turn)
    results = report("bench")
    pairs = {name: row for name, row in results.items() if isinstance(row, dict)}
    assert len(pairs) == 7
    assert [row["launches"] > 100 for row in pairs.values() if "launches" in row] == [True] * 5
    for name, row in pairs.items():
        assert [row["plain"], row["fast"], row["ratio"]] == [6.0, 1.5, 4.0], name
    steps = [row for name, row in pairs.items() if "step" in name]
    assert [0.01 < row["of peak"] < 100 for row in steps] == [True] * 5
    alpha, weight = (pairs[f"supernet {kind} step"]["of peak"] for kind in ("alpha", "weight"))
    assert alpha < 0.8 * weight  # no gradients of weights
    assert results["peak memory of a weight step (fast / plain)"] == 0.25


def test_work_is_timed_in_turn(monkeypatch):
    say_seconds(monkeypatch, "bench", 1.0, 2.0, 3.0, 4.0)
    done = []
    work = {name: functools.partial(done.append, name) for name in ("plain", "fast")}
    options = mock.Mock(measuring=mock.Mock(repeats=2))
    assert bench.in_turn(work, options, None) == {"plain": [1.0, 3.0], "fast": [2.0, 4.0]}
    assert done == ["plain", "fast"] * 2


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_gradients_of_a_convolution_cost_what_it_does(groups):
    x, conv = torch.randn(2, 8, 20, requires_grad=True), nn.Conv1d(8, 8, 5, groups=groups)
    with count_operations() as forward:
        y = conv(x)
    with count_operations() as backward:
        y.sum().backward()
    assert forward.get_total_flops() == 2 * 2 * 8 * (8 // groups) * 5 * 16
    assert backward.get_total_flops() == 2 * forward.get_total_flops()


def test_stages_get_smaller(report):
    for method, rows in report("stages").items():
        flops, weights = ([row[f"{what} ratio"] for row in rows] for what in ("FLOP", "weights"))
        assert flops == sorted(flops, reverse=True), method
        assert weights == sorted(weights, reverse=True), method
        assert flops[2] < 1


def test_a_candidate_of_osp_is_validated_like_the_supernet(report, monkeypatch):
    say_seconds(monkeypatch, "osp_validation", 3.0, 2.0)  # but first comes a warm-up
    results = report("osp_validation")
    assert (results["supernet"], results["candidate"]) == (2.0, 3.0)
    assert results["ratio (candidate / supernet)"] == 1.5
