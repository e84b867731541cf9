"""Orders are compared rightly, and a killed ranking goes on to the same figures."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from benchmarks.supernet_judges import CRITERIA, JUDGES
from benchmarks.supernet_ranking import RESAMPLES, STATISTICS, Table, agreement
from tests.scripts.runs import Toy, history_length, refusal, run_here, start, wait_for

SCRIPT = "benchmarks/supernet_ranking.py"
SMALL = {"layers": 3, "num_steps": 1, "epochs": 1, "num_samples": 3, "recalibration_steps": 1}
EPOCHS = {"supernet_epochs": 2, "whole_epochs": 1, "frozen_epochs": 1}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy.make(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def ranked(toy):
    folder = toy.folder / "ranked"
    assert run_here(SCRIPT, toy.sampled(folder, **SMALL | EPOCHS)).code == 0
    return folder


def read(folder):
    return json.loads((folder / "ranking-a.json").read_text())


@pytest.mark.parametrize(
    ("scores", "rising", "tau", "rank"),
    [
        ([0.1, 0.2, 0.3, 0.4], True, 1, 1),
        ([0.1, 0.2, 0.3, 0.4], False, 1, 1),
        ([4, 3, 2, 1], True, -1, 4),
        ([1, 3, 2, 4], True, 4 / 6, 1),
        ([np.nan, 2, 4, 3], True, 4 / 6, 2),  # the worst, whatever is better
        ([2, 4, 3, np.nan], False, 4 / 6, 1),
    ],
)
def test_agreement_of_orders(scores, rising, tau, rank):
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    found = agreement(np.array(scores, dtype=float), truth, rising=rising)
    assert found.tau == pytest.approx(tau)
    assert found.low <= found.tau <= found.high
    assert found.rank_of_first == rank


def test_no_order_no_agreement():
    assert set(agreement(np.full(4, np.nan), np.arange(4.0), rising=True)) == {None}


def test_the_interval_is_that_of_scipys_tau():
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(5, size=9).astype(float), rng.random(9)
    found = agreement(scores, truth, rising=True)
    draws = np.random.default_rng(0).integers(9, size=(RESAMPLES, 9))
    taus = [stats.kendalltau(scores[d], truth[d]).statistic for d in draws]
    assert (found.low, found.high) == pytest.approx(np.nanquantile(taus, [0.025, 0.975]))


def test_every_judge_scores_every_architecture(ranked):
    found = read(ranked)
    names = [f"{judge} {how}" for judge in JUDGES for how in STATISTICS]
    assert list(found["scores"]) == [*names, "parameters", "alone 1", "alone 2"]
    assert len({json.dumps(genotype) for genotype in found["architectures"]}) == 3
    for name, rows in found["scores"].items():
        assert list(rows) == ["0", "1", "2"], name
        assert all(set(row) == set(CRITERIA) for row in rows.values())
        assert len({row["valid_loss"] for row in rows.values()}) > 1, name
    assert found["scores"]["alone 1"] != found["scores"]["alone 2"]
    for judge in JUDGES:
        assert found["scores"][f"{judge} batch"] != found["scores"][f"{judge} running"]
    assert len(found["agreements"]) == (len(names) + 2) * len(CRITERIA)
    for ending in ("png", "svg"):
        assert (ranked / f"ranking-a.{ending}").stat().st_size > 1000


def test_a_damaged_ranking_is_named(tmp_path):
    path = tmp_path / "ranking-a.json"
    files = SimpleNamespace(path=lambda *_: path)
    for text in ("", "[]", '{"scores": {"alone 1": 3}}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"ranking-a.json: not a ranking, or damaged"):
            Table(SimpleNamespace(continues=True, files=files), [])


def has_scores(folder, judge):
    path = folder / "ranking-a.json"
    return path.exists() and judge in read(folder)["scores"]


@pytest.mark.long
def test_killed_and_continued(toy, ranked, tmp_path, monkeypatch):
    line = toy.sampled(tmp_path, **SMALL | EPOCHS)
    for judge in ("BONAS running", "alone 1"):
        process = start(SCRIPT, line)
        wait_for(partial(has_scores, tmp_path, judge), judge)
        process.kill()
        process.join()
    monkeypatch.setattr("generalNAS_tools.pictures.pictures.save_figure", lambda *_: None)
    assert run_here(SCRIPT, line).code == 0
    assert read(tmp_path) == read(ranked)
    assert history_length(tmp_path) == history_length(ranked) == 3 * 2 + 3 * 2
    assert run_here(SCRIPT, [*line, "--seed=1"]).code == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"num_samples": 2}, "--num_samples 2: expected at least 3"),
        ({"whole_epochs": 3}, "--whole_epochs 3: expected 0..2 (--supernet_epochs)"),
    ],
)
def test_flags_that_do_not_fit_are_refused(toy, tmp_path, flags, words):
    outcome = run_here(SCRIPT, toy.sampled(tmp_path / "none", **SMALL | EPOCHS | flags))
    assert words in refusal(outcome)
    assert not (tmp_path / "none").exists()
