import signal

import numpy as np
import pytest
import torch
from torch import nn

from generalNAS_tools.runs.changes import FREE_FLAGS
from generalNAS_tools.runs.divergence import Diverged
from generalNAS_tools.runs.run_log import Clock
from generalNAS_tools.runs.signals import STOPPING, Stopped
from tests.generalNAS_tools.runs.run_cases import run_directory

ROW = {"train_loss": 0.5, "valid_loss": None}


def test_state_comes_back_after_an_epoch(tmp_path, monkeypatch):
    network, twin = nn.Linear(2, 2), nn.Linear(2, 2)
    monkeypatch.setattr(Clock, "epoch_seconds", lambda _: 12.0)
    with run_directory(tmp_path) as run:
        run.track(network=network)
        assert list(run.epochs(3)) == [0, 1, 2]
        run.end_epoch(ROW)
        expected = torch.rand(3)
    torch.manual_seed(5)
    with run_directory(tmp_path) as run:
        run.track(network=twin)
        assert list(run.epochs(3)) == [1, 2]
        assert torch.equal(torch.rand(3), expected)
        row = run.history[0]
        assert (row["epoch"], row["train_loss"], row["valid_loss"]) == (1, 0.5, None)
        assert row["seconds"] == 12
    assert torch.equal(twin.weight, network.weight)


def test_a_new_stage_starts_its_epochs_anew(tmp_path):
    with run_directory(tmp_path) as run:
        for number, stage in run.through("stage", "ab"):
            run.track(network=nn.Linear(number + 1, 1))
            for epoch in run.epochs(2):
                run.end_epoch(ROW)
                if (stage, epoch) == ("b", 0):
                    break
            else:
                continue
            break
    with run_directory(tmp_path) as run:
        steps = list(run.through("stage", "ab"))
        assert steps == [(1, "b")]
        assert len(run.history) == 3


class KilledError(Exception):
    """The process is gone."""


def nested(run, kill_at=None):
    """Every epoch of a search in brackets, rungs and turns; leaves at one if asked to."""
    seen = []
    for bracket, sizes in run.through("bracket", [(3, 1), (2,)]):
        alive = [10 * bracket + number for number in range(sizes[0])]
        for rung, _ in run.through("rung", sizes):
            alive = run.remember("alive", alive.copy)
            for turn, number in run.through("turn", alive):
                run.track()
                for epoch in run.epochs(2 * rung + 2, first=2 * rung):
                    seen.append((bracket, rung, turn, number, epoch))
                    run.end_epoch(ROW)
                    if len(run.history) == kill_at:
                        raise KilledError
            alive = alive[-1:]
    return seen


def test_nested_levels_go_on_wherever_they_were_left(tmp_path):
    with run_directory(tmp_path / "whole") as run:
        whole = nested(run)
    assert [place for place in whole if place[1] == 1] == [(0, 1, 0, 2, 2), (0, 1, 0, 2, 3)]
    assert len(whole) == len(set(whole)) == 12
    for kill_at in range(1, 12):
        folder = tmp_path / str(kill_at)
        with run_directory(folder) as run, pytest.raises(KilledError):
            nested(run, kill_at)
        with run_directory(folder) as run:
            assert nested(run) == whole[kill_at:]


def test_what_is_remembered_ends_with_its_item(tmp_path):
    with run_directory(tmp_path) as run:
        values = [run.remember("x", item.upper) for _, item in run.through("a", "pq")]
        assert values == ["P", "Q"]


def test_other_flags_are_refused_by_name(tmp_path):
    flags = {
        "rhn_lr": 8.0,
        "layers": 2,
        "kind of device": "cpu",
        **dict.fromkeys(FREE_FLAGS - {"restart", "allow_changed_rates"}, 1),
    }
    with run_directory(tmp_path, **flags) as run:
        run.track()
        run.end_epoch(ROW)
    for change, message in (
        ({"rhn_lr": 7.0}, "--rhn_lr 8.0, now it is 7.0"),
        ({"new": 1}, "--new None, now it is 1"),
        ({"data of --x": "3"}, "started with data of --x None"),
        ({"kind of device": "cuda"}, "with kind of device cpu, now it is cuda"),
        ({"kind of device": "cuda", "compile": "on"}, "with kind of device cpu, now it is cuda"),
    ):
        with pytest.raises(ValueError, match=message), run_directory(tmp_path, **flags | change):
            pass
    with run_directory(
        tmp_path, **flags | dict.fromkeys(FREE_FLAGS - {"restart", "allow_changed_rates"}, 2)
    ) as run:
        assert len(run.history) == 1


def test_restart_forgets(tmp_path):
    with run_directory(tmp_path, lr=1) as run:
        run.track()
        run.end_epoch(ROW)
    with run_directory(tmp_path, restart=True, lr=2) as run:
        assert run.history == []
        assert list(run.epochs(2)) == [0, 1]
        assert (tmp_path / "checkpoint-a.pt").exists()  # something may still be refused
        run.track()
        assert not (tmp_path / "checkpoint-a.pt").exists()


@pytest.mark.parametrize("other", [{}, {"network": nn.Linear(3, 3)}, {"head": nn.Linear(2, 2)}])
def test_a_checkpoint_of_other_objects(tmp_path, other):
    with run_directory(tmp_path) as run:
        run.track(network=nn.Linear(2, 2))
        run.end_epoch(ROW)
    with run_directory(tmp_path) as run:
        if other:
            with pytest.raises(ValueError, match="doesn't fit this command"):
                run.track(**other)
        else:
            with pytest.raises(RuntimeError, match="track"):
                run.save_checkpoint()


@pytest.mark.parametrize("name", ["train_loss", "valid_loss", "weight"])
def test_what_is_not_finite_is_not_saved(tmp_path, name):
    network = nn.Linear(2, 2)
    with run_directory(tmp_path, rhn_lr=8.0) as run:
        run.track(network=network)
        run.end_epoch(ROW)
        before = (tmp_path / "checkpoint-a.pt").read_bytes()
        row = ROW if name == "weight" else {**ROW, name: np.inf}
        if name == "weight":
            nn.init.constant_(network.weight, float("nan"))
        with pytest.raises(ValueError, match=r"epoch 2: .*checkpoint-a.pt.*--rhn_lr"):
            run.end_epoch(row)
    assert (tmp_path / "checkpoint-a.pt").read_bytes() == before
    assert len(np.load(tmp_path / "train_loss-a.npy")) == 1


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_saves_the_epoch_so_far(tmp_path, number):
    with run_directory(tmp_path) as run:
        run.track()
        run.stop_if_asked({"step": 1})
        run.clock = Clock(100)
        signal.raise_signal(number)
        with pytest.raises(Stopped) as stop:
            run.stop_if_asked({"step": 2})
        assert stop.value.number == number
    with run_directory(tmp_path) as run:
        assert run.partial["step"] == 2
        assert run.clock.epoch_seconds() >= 100


def test_divergence_says_what_is_kept(tmp_path):
    with run_directory(tmp_path) as run:
        run.track()
        with pytest.raises(Diverged, match=r"^epoch 1: train_loss is inf.*; no state was saved"):
            run.report_step(1, 2, np.inf)
        run.end_epoch(ROW)
        run.stop_if_asked({"step": 7})
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            run.stop_if_asked()
    for _ in range(2):  # read, then written again
        with run_directory(tmp_path) as run:
            run.track()
            with pytest.raises(Diverged, match=r"-a\.pt holds the state after step 7 of epoch 2;"):
                run.report_step(1, 2, np.inf)
            run.save_checkpoint()


def test_only_what_goes_on_says_so(tmp_path):
    for number in range(3):
        with run_directory(tmp_path) as run:
            run.track()
            for _ in run.epochs(2):
                run.begin_epoch()
                run.end_epoch(ROW)
                if number == 0:
                    break
    assert (tmp_path / "log-a.txt").read_text().count("continuing at epoch 2") == 1
    assert "epoch 3" not in (tmp_path / "log-a.txt").read_text()


def test_a_signal_at_the_end_of_an_epoch(tmp_path):
    with run_directory(tmp_path) as run:
        run.track()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            run.end_epoch(ROW)
    with run_directory(tmp_path) as run:
        assert run.partial is None
        assert len(run.history) == 1


def test_a_history_that_a_kill_left_behind_is_written_again(tmp_path):
    with run_directory(tmp_path) as run:
        run.track()
        run.end_epoch(ROW)
    (tmp_path / "history-a.csv").unlink()
    with run_directory(tmp_path):
        assert (tmp_path / "history-a.csv").exists()
