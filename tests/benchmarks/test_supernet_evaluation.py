"""Orders of candidates repeat where they differ by more than noise; a killed run gives the same."""

import json

import numpy as np
import pytest

from benchmarks.supernet_evaluation import SIZES, reliability
from tests.scripts.runs import Toy, run_here, start, wait_for

SCRIPT = "benchmarks/supernet_evaluation.py"
SMALL = {"layers": 3, "num_steps": 4, "batch_size": 32, "epochs": 2, "draws": 1, "num_ops": 3}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy.make(tmp_path_factory.mktemp("toy"), num_train=64, num_valid=100)


def read(folder):
    return json.loads((folder / "evaluation-a.json").read_text())


def test_an_order_beyond_noise_repeats_and_noise_does_not():
    rng = np.random.default_rng(0)
    noise, common = rng.normal(size=(7, 40)), rng.normal(size=40)
    clear = reliability(common + 10 * np.arange(7)[:, None] + noise)
    assert clear["spearman"] == clear["same choice"] == pytest.approx(1)
    assert clear["spread"] == pytest.approx(10 * np.arange(7).std(ddof=1), rel=0.02)
    assert clear["noise"] == pytest.approx(1 / np.sqrt(40), rel=0.15)
    noise -= noise.mean(1, keepdims=True)
    mirrored = reliability(common + noise)  # what one half lacks, the other has
    assert mirrored["spearman"] < -0.9
    assert mirrored["same choice"] == 0
    assert abs(reliability(rng.normal(size=(7, 4000)))["spearman"]) < 0.5


@pytest.mark.long
def test_every_epoch_is_judged_and_a_killed_run_goes_on(toy, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_here(SCRIPT, toy.sampled(whole, **SMALL)).code == 0
    found = read(whole)
    for number, row in enumerate(found["batch sizes"], start=1):
        assert row["epoch"] == number
        by_size = [row[f"batch {size}"] for size in SIZES]
        assert len({*by_size, row["running"]}) > 3
        assert row["valid_loss"] == row["batch 32"]
    assert [(row["epoch"], row["by"]) for row in found["candidates"]] == [
        (epoch, how) for epoch in (1, 2) for how in ("batch", "running")
    ]
    process = start(SCRIPT, toy.sampled(killed, **SMALL))
    wait_for((killed / "evaluation-a.json").exists, "the first epoch")
    process.kill()
    process.join()
    assert run_here(SCRIPT, toy.sampled(killed, **SMALL)).code == 0
    assert read(killed) == found


def test_uniform_weights_have_no_candidates(toy, tmp_path):
    line = toy.sampled(tmp_path, **SMALL | {"mixing": "uniform", "epochs": 1})
    assert run_here(SCRIPT, line).code == 0
    assert read(tmp_path)["candidates"] == []
