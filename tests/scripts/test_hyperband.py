import errno
import math

import pytest

import generalNAS_tools.files.atomic_files
import randomSearch_and_Hyperband_Tools.candidate_turns as candidate_turns
import randomSearch_and_Hyperband_Tools.candidates as candidates
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.training.optimizers import step_schedule
from tests.scripts.runs import refusal, run_here
from tests.scripts.sampling_cases import FLAGS, HYPERBAND, everything, seed_command, table
from tests.scripts.test_random_search import diverge


def waiting(folder):
    return sorted(path.name for path in folder.glob("waiting*"))


@pytest.fixture(scope="module")
def finished(toy):
    folder = toy.folder / "hyperband"
    line = toy.sampled(folder, **FLAGS[HYPERBAND])
    assert run_here(HYPERBAND, line, pictures=True).code == 0
    return folder


def best_first(rows):
    """Candidates by AUPRC, then by loss, then by number."""

    def key(row):
        return -float(row["valid_auprc"]), float(row["valid_loss"]), int(row["candidate"])

    return [row["candidate"] for row in sorted(rows, key=key)]


def test_the_better_half_goes_on(finished):
    history = table(finished, "history")
    first, second, third = history[:5], history[5:7], history[7:]
    assert [row["candidate"] for row in first] == ["1", "2", "3", "4", "5"]
    assert [row["candidate"] for row in second] == best_first(first)[:2]
    assert [row["candidate"] for row in third] == best_first(second)[:1]
    rows = table(finished, "scores")
    assert [int(row["epochs"]) for row in rows] == [3, 2, 1, 1, 1]
    assert [row["candidate"] for row in rows[:2]] == best_first(second)
    assert read_genotype(finished / "hb_geno-a.npy").to_json() == rows[0]["genotype"]


def test_nobody_waits_after_the_end(finished):
    assert not waiting(finished)
    for name in ("scores", "halving", "genotype"):
        assert (finished / f"{name}-a.png").read_bytes().startswith(b"\x89PNG")


def test_who_is_cut_leaves_the_disk(toy, tmp_path, monkeypatch):
    seen = []

    class Watched(candidates.CandidateStore):
        def dismiss(self, numbers):
            before = waiting(tmp_path)
            super().dismiss(numbers)
            seen.append((before, waiting(tmp_path)))

    monkeypatch.setattr(candidate_turns, "CandidateStore", Watched)
    line = toy.sampled(tmp_path, **FLAGS[HYPERBAND])
    assert run_here(HYPERBAND, line).code == 0
    sizes = [(len(before), len(after)) for before, after in seen]
    assert sizes == [(5, 2), (2, 1), (1, 0)]


def test_brackets_spend_the_same_epochs(toy, tmp_path):
    flags = FLAGS[HYPERBAND] | {"num_samples": 8, "brackets": 2, "num_steps": 1}
    assert run_here(HYPERBAND, toy.sampled(tmp_path, **flags), pictures=True).code == 0
    history = table(tmp_path, "history")
    # Of 8 + 4 + 2 epochs 13: five candidates of which two go on, then three with two epochs each.
    assert [row["candidate"] for row in history[:5]] == ["1", "2", "3", "4", "5"]
    assert [row["candidate"] for row in history[7:]] == ["6", "6", "7", "7", "8", "8"]
    assert len(history) == 13
    rows = table(tmp_path, "scores")
    assert sorted(row["epochs"] for row in rows) == ["1", "1", "1", "2", "2", "2", "2", "2"]
    assert len({row["genotype"] for row in rows}) == len(rows)
    assert not waiting(tmp_path)


def test_the_cosine_stays_at_its_minimum(toy, tmp_path, monkeypatch):
    rates = []

    def step(schedule):
        step_schedule(schedule)
        rates.append([group["lr"] for group in schedule.optimizer.param_groups])

    monkeypatch.setattr("generalNAS_tools.training.training_epoch.step_schedule", step)
    flags = FLAGS[HYPERBAND] | {"num_samples": 2, "iterations": 1, "budget": 5, "epochs": 2}
    flags |= {"learning_rate_min": 1e-4, "cnn_lr": 0.1, "rhn_lr": 8}
    assert run_here(HYPERBAND, toy.sampled(tmp_path, **flags)).code == 0
    middle = [(top + 1e-4) / 2 for top in (0.1, 8)]
    assert len(rates) == 5 + 5 + 5
    for first, rest in ((rates[0], rates[1:5]), (rates[5], rates[6:])):
        assert all(map(math.isclose, first, middle))
        assert all(rate == [1e-4, 1e-4] for rate in rest)


def test_diverged_candidates_are_cut(toy, tmp_path, monkeypatch):
    """Both survivors of the first rung break in the second; the best of the rest wins."""
    line = toy.sampled(tmp_path, **FLAGS[HYPERBAND])
    diverge(monkeypatch, set(range(1, 6)))
    assert run_here(HYPERBAND, line).code == 0
    rows = table(tmp_path, "scores")
    assert [row["f1"] for row in rows[3:]] == ["nan", "nan"]
    assert all(row["epochs"] == "1" for row in rows)


def test_a_full_disk_is_one_line_and_loses_nothing(toy, tmp_path, finished, monkeypatch):
    line = toy.sampled(tmp_path, **FLAGS[HYPERBAND])
    original = candidates.save_weights

    def full(path, state):
        if "waiting_3" not in path.name:
            return original(path, state)
        with generalNAS_tools.files.atomic_files.atomic_write(path) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(candidates, "save_weights", full)
        ended = run_here(HYPERBAND, line)
    assert ended.code == 2
    assert "waiting_3-a.pt: can't be written (No space left on device)" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert waiting(tmp_path) == ["waiting_1-a.pt", "waiting_2-a.pt"]
    assert run_here(HYPERBAND, line).code == 0
    same = {n: v for n, v in everything(tmp_path).items() if n != "names"}
    assert same == {n: v for n, v in everything(finished).items() if n != "names"}


def test_a_lost_candidate_is_one_line(toy, tmp_path, monkeypatch):
    class Thief(candidates.CandidateStore):
        def dismiss(self, numbers):
            super().dismiss(range(5))

    line = toy.sampled(tmp_path, **FLAGS[HYPERBAND])
    with monkeypatch.context() as patch:
        patch.setattr(candidate_turns, "CandidateStore", Thief)
        ended = run_here(HYPERBAND, line)
    assert ended.code == 2
    assert ended.stderr.splitlines()[-1].endswith("expected a model or checkpoint of this project")


def test_restart_clears_the_waiting_room(toy, tmp_path):
    tmp_path.joinpath("waiting_9-a.pt").write_bytes(b"of a larger run")
    tmp_path.joinpath("waiting_9-b-a.pt").write_bytes(b"of the run b-a")
    assert run_here(HYPERBAND, toy.sampled(tmp_path, **FLAGS[HYPERBAND])).code == 0
    assert waiting(tmp_path) == ["waiting_9-b-a.pt"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_samples": 3}, "--num_samples 3 is too few for --iterations 2 halvings"),
        ({"budget": 0}, "--budget: '0' is not a whole number ≥ 1"),
        ({"brackets": 4}, "--brackets 4 with --budget 1 needs"),
    ],
)
def test_impossible_plans_are_one_line(flags, message, toy, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[HYPERBAND] | flags)
    assert message in refusal(run_here(HYPERBAND, line))


def test_the_documented_command(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = seed_command(HYPERBAND, toy, epochs=4, budget=1, num_samples=8)
    assert run_here(HYPERBAND, line).code == 0
    read_genotype(tmp_path / "results/hb_search/hb_geno-hb_1.npy")
    history = table(tmp_path / "results/hb_search", "history", "hb_1")
    assert len(history) == 8 + 4 + 2 + 1
