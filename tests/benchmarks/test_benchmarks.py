"""The benchmarks run on a small network and report what the README quotes; no time is judged."""

import importlib
import json
import sys

import pytest

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


def words_of(printed, names):
    """The names that a line of the printed table or list begins with."""
    lines = [line.lstrip("|- ") for line in printed.splitlines()]
    return [name for name in names for line in lines if line.startswith(name)]


def test_every_step_is_compared_with_its_plain_form(report, monkeypatch):
    monkeypatch.setattr("benchmarks.bench.small_network", lambda options: options)
    results = report("bench")
    pairs = {name: row for name, row in results.items() if isinstance(row, dict)}
    assert len(pairs) == 7
    assert [row["launches"] > 100 for row in pairs.values() if "launches" in row] == [True] * 5
    for name, row in pairs.items():
        assert row["ratio"] == pytest.approx(row["plain"] / row["fast"], abs=0.01), name
    assert results["peak memory of a weight step (fast / plain)"] > 0
    assert results["batch assembly (plain: float32 in memory)"]["sequences/s"] > 0


def test_stages_get_smaller(report):
    for method, rows in report("stages").items():
        assert all(row["seconds"] > 0 for row in rows), method
        flops, weights = ([row[f"{what} ratio"] for row in rows] for what in ("FLOP", "weights"))
        assert flops == sorted(flops, reverse=True), method
        assert weights == sorted(weights, reverse=True), method
        assert flops[2] < 1


def test_a_candidate_of_osp_is_validated_like_the_supernet(report):
    results = report("osp_validation")
    ratio = results["candidate"] / results["supernet"]
    assert results["ratio (candidate / supernet)"] == pytest.approx(ratio, rel=0.1)
