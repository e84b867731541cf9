import gc
import math
import weakref

import numpy as np
import pytest

import generalNAS_tools.training.train_loop
import randomSearch_and_Hyperband_Tools.candidates as candidates
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.runs.run_directory import RunDirectory
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from tests.scripts.runs import refusal, run_here
from tests.scripts.sampling_cases import FLAGS, HYPERBAND, RANDOM, seed_command, table


@pytest.fixture(scope="module")
def finished(toy):
    folder = toy.folder / "random"
    line = toy.sampled(folder, **FLAGS[RANDOM])
    assert run_here(RANDOM, line, pictures=True).code == 0
    return folder


def test_every_candidate_is_in_the_table(finished):
    rows = table(finished, "scores")
    history = table(finished, "history")
    assert [int(row["rank"]) for row in rows] == [1, 2, 3]
    scores = [float(row["auprc"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    drawn = distinct_genotypes(np.random.default_rng(0), 3)
    for row in rows:
        own = [epoch for epoch in history if epoch["candidate"] == row["candidate"]]
        assert row["genotype"] == drawn[int(row["candidate"]) - 1].to_json()
        assert int(row["epochs"]) == len(own) == 2
        assert float(row["f1"]) == float(own[-1]["acc_valid"])
        assert math.isclose(float(row["seconds"]), sum(float(e["seconds"]) for e in own))
        assert int(row["parameters"]) > 100_000  # the head alone has so many


def test_the_best_is_written_and_drawn(finished):
    best = table(finished, "scores")[0]
    assert read_genotype(finished / "random_geno-a.npy").to_json() == best["genotype"]
    for name in ("scores", "genotype"):
        assert (finished / f"{name}-a.png").read_bytes().startswith(b"\x89PNG")


def test_scores_without_validation_in_between(toy, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[RANDOM] | {"validation": False})
    assert run_here(RANDOM, line).code == 0
    history = table(tmp_path, "history")
    assert [row["acc_valid"] != "" for row in history] == [False, True] * 3


@pytest.mark.parametrize("script", [RANDOM, HYPERBAND])
def test_memory_holds_one_network(script, toy, tmp_path, monkeypatch):
    alive = weakref.WeakSet()
    most = []

    class Counted(FinalNetwork):
        def __init__(self, *args, **options):
            most.append(len(alive) + 1)
            super().__init__(*args, **options)
            alive.add(self)

    monkeypatch.setattr(candidates, "FinalNetwork", Counted)
    gc.disable()  # the network must go with its last reference, not at some later collection
    try:
        assert run_here(script, toy.sampled(tmp_path, **FLAGS[script])).code == 0
    finally:
        gc.enable()
    assert len(most) >= 3
    assert max(most) == 1


def diverge(monkeypatch, numbers):
    """Makes candidates' losses infinite in their second epoch."""
    original = RunDirectory.check_finite

    def check(run, row):
        seen = [old for old in run.history if old["candidate"] == row["candidate"]]
        broken = row["candidate"] in numbers and len(seen) == 1
        original(run, row | {"train_loss": math.inf} if broken else row)

    monkeypatch.setattr(RunDirectory, "check_finite", check)


def test_a_diverged_candidate_is_out(toy, tmp_path, monkeypatch, finished):
    diverge(monkeypatch, {2})
    ended = run_here(RANDOM, toy.sampled(tmp_path, **FLAGS[RANDOM]))
    assert ended.code == 0
    assert "candidate 2 is out: epoch 4: train_loss is inf\n" in ended.stderr
    rows = table(tmp_path, "scores")
    assert [row["candidate"] for row in rows][-1] == "2"
    assert (rows[-1]["f1"], rows[-1]["epochs"]) == ("nan", "1")
    before = {row["candidate"]: row["f1"] for row in table(finished, "scores")}
    assert rows[-1]["candidate"] != rows[0]["candidate"]
    assert {row["candidate"]: row["f1"] for row in rows if row["candidate"] == "1"} == {
        "1": before["1"]
    }


def test_nothing_left_of_a_broken_epoch(toy, tmp_path, monkeypatch):
    """A candidate that breaks within an epoch leaves no half epoch to the next one."""
    original, calls = generalNAS_tools.training.train_loop.weight_step, []

    def step(*args, **options):
        calls.append(1)
        loss, logits = original(*args, **options)
        return (loss * math.nan if len(calls) == 5 else loss), logits

    monkeypatch.setattr(generalNAS_tools.training.train_loop, "weight_step", step)
    assert run_here(RANDOM, toy.sampled(tmp_path, **FLAGS[RANDOM])).code == 0
    # Candidate 2 is out after its first step, candidates 1 and 3 have two epochs of two steps.
    assert len(calls) == 4 + 1 + 4
    assert [row["candidate"] for row in table(tmp_path, "history")] == ["1", "1", "3", "3"]


def test_all_candidates_diverged(toy, tmp_path, monkeypatch):
    diverge(monkeypatch, {1, 2, 3})
    ended = run_here(RANDOM, toy.sampled(tmp_path, **FLAGS[RANDOM]))
    assert ended.code == 3
    assert ended.stderr.splitlines()[-1].startswith("all 3 candidates diverged; try --restart")
    assert not (tmp_path / "random_geno-a.npy").exists()


def test_no_samples_is_one_line(toy, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[RANDOM] | {"num_samples": 0})
    assert "--num_samples: '0' is not a whole number ≥ 1" in refusal(run_here(RANDOM, line))


def test_the_documented_command(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = seed_command(RANDOM, toy, epochs=1, num_samples=2)
    assert run_here(RANDOM, line).code == 0
    read_genotype(tmp_path / "results/random_search/random_geno-random_1.npy")
    assert len(table(tmp_path / "results/random_search", "scores", "random_1")) == 2
