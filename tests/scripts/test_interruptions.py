"""A run that was killed or stopped, and continued, ends as one that nobody disturbed."""

import random
import signal
import time
from functools import partial

import pytest
import torch

import generalNAS_tools.runs.run_directory
import generalNAS_tools.training.train_loop
from generalNAS_tools.data import packed_cache
from generalNAS_tools.files.checkpoints import load_weights
from tests.scripts.runs import (
    FINAL,
    SEARCH,
    log_of,
    result,
    run_here,
    start,
    wait_for,
)

KILLS = 5


def has_logged(folder, lines, process):
    return log_of(folder).count("\n") >= lines or not process.is_alive()


@pytest.mark.parametrize("script", [SEARCH, FINAL])
def test_killed_at_random_moments(script, toy, tmp_path, request):
    undisturbed = request.getfixturevalue("searched" if script == SEARCH else "trained")
    line = (toy.search if script == SEARCH else toy.final)(tmp_path)
    moments = random.Random(script)
    kills, tries = 0, 0
    while kills < KILLS:
        # A random number of log lines (an epoch has up to three) and a little more.
        new_lines = moments.randint(1, 5) * (tries < 10)
        wanted = log_of(tmp_path).count("\n") + new_lines
        process = start(script, line)
        wait_for(partial(has_logged, tmp_path, wanted, process), "its log")
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        tries += 1
    process = start(script, line)
    process.join()
    assert process.exitcode == 0
    assert "continuing at epoch" in log_of(tmp_path)
    assert result(tmp_path) == result(undisturbed)
    assert not list(tmp_path.glob(".*.part"))


def send_at(monkeypatch, number, *, name, call):
    """Sends this process a signal at the call-th call of a function of the training loop."""
    original = getattr(generalNAS_tools.training.train_loop, name)
    calls = []

    def wrapped(*args, **options):
        calls.append(name)
        if len(calls) == call:
            signal.raise_signal(number)
        return original(*args, **options)

    monkeypatch.setattr(generalNAS_tools.training.train_loop, name, wrapped)


@pytest.mark.parametrize(
    ("script", "number", "name", "call", "step"),
    [
        (SEARCH, signal.SIGTERM, "weight_step", 3, 1),
        (SEARCH, signal.SIGINT, "weight_step", 6, 2),
        (SEARCH, signal.SIGTERM, "bce_loss", 2, 2),  # while it validates
        (FINAL, signal.SIGTERM, "weight_step", 5, 1),
        (FINAL, signal.SIGINT, "bce_loss", 3, 2),
    ],
)
def test_stopped_within_an_epoch(script, number, name, call, step, toy, tmp_path, request):
    undisturbed = request.getfixturevalue("searched" if script == SEARCH else "trained")
    line = (toy.search if script == SEARCH else toy.final)(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, number, name=name, call=call)
        stopped = run_here(script, line)
    assert stopped.code == 128 + number
    assert "Traceback" not in stopped.stderr
    assert number.name in stopped.stderr
    assert load_weights(tmp_path / "checkpoint-a.pt")["partial"]["step"] == step
    assert run_here(script, line).code == 0
    assert result(tmp_path) == result(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_that_is_repeated(number, toy, trained, tmp_path):
    """More of them come while the state is written, as a cluster's do."""
    save = generalNAS_tools.runs.run_directory.save_weights

    def save_under_fire(path, state):
        for _ in range(2 * (state["partial"] is not None)):
            signal.raise_signal(number)
        save(path, state)

    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, number, name="weight_step", call=3)
        patch.setattr(generalNAS_tools.runs.run_directory, "save_weights", save_under_fire)
        assert run_here(FINAL, toy.final(tmp_path)).code == 128 + number
    assert load_weights(tmp_path / "checkpoint-a.pt")["partial"]["step"] == 1
    assert run_here(FINAL, toy.final(tmp_path)).code == 0
    assert result(tmp_path) == result(trained)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_data_are_packed(number, toy, trained, tmp_path, caplog):
    cache = tmp_path / "cache"
    line = toy.final(tmp_path / "run", cache_dir=cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_cache, "_write_transposed", lambda *_: signal.raise_signal(number))
        stopped = run_here(FINAL, line)
    assert stopped.code == 128 + number
    assert caplog.messages[-1].startswith(f"stopped by {number.name}; ")
    assert "Traceback" not in stopped.stderr
    assert not list(cache.iterdir())
    assert not (tmp_path / "run").exists()
    assert run_here(FINAL, line).code == 0
    assert result(tmp_path / "run") == result(trained)


def test_sigterm_from_outside(toy, searched, tmp_path):
    process = start(SEARCH, toy.search(tmp_path))
    wait_for(lambda: "epoch 2  step 1/2" in log_of(tmp_path), "the second epoch")
    process.terminate()
    time.sleep(0.05)
    process.terminate()
    process.join()
    assert process.exitcode == 143
    state = load_weights(tmp_path / "checkpoint-a.pt")
    step = state["partial"]["step"] if state["partial"] else 0
    assert len(state["history"]) * 2 + step < 6
    assert run_here(SEARCH, toy.search(tmp_path)).code == 0
    assert result(tmp_path) == result(searched)


def test_unrolled_steps_continue_too(toy, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    flags = {"unrolled": True, "frozen_epochs": 0, "epochs": 1, "layers": 1}
    assert run_here(SEARCH, toy.search(whole, **flags)).code == 0
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, signal.SIGTERM, name="weight_step", call=1)
        assert run_here(SEARCH, toy.search(parts, **flags)).code == 143
    assert run_here(SEARCH, toy.search(parts, **flags)).code == 0
    assert result(parts) == result(whole)
    first_order = tmp_path / "first"
    assert run_here(SEARCH, toy.search(first_order, **flags | {"unrolled": False})).code == 0
    assert result(first_order) != result(whole)


@pytest.mark.parametrize("script", [SEARCH, FINAL])
def test_adamw_and_random_strands_continue_too(script, toy, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    make = toy.search if script == SEARCH else toy.final
    flags = {"optimizer": "adamw", "rc_augment": True, "epochs": 2}
    assert run_here(script, make(whole, **flags)).code == 0
    for call in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            send_at(patch, signal.SIGTERM, name="weight_step", call=call)
            assert run_here(script, make(parts, **flags)).code == 143
    assert run_here(script, make(parts, **flags)).code == 0
    assert result(parts) == result(whole)


def test_a_finished_run_changes_nothing_when_run_again(toy, searched):
    before = result(searched)
    torch.manual_seed(99)
    again = run_here(SEARCH, toy.search(searched))
    assert again.code == 0
    assert "continuing" not in again.stderr
    assert result(searched) == before


def test_seeds_and_restart(toy, searched, tmp_path):
    other = tmp_path / "other"
    assert run_here(SEARCH, toy.search(other, seed=1)).code == 0
    assert result(other).keys() == result(searched).keys()
    for name, content in result(searched).items():
        if name.startswith(("train_loss", "history", "alphas")):
            assert result(other)[name] != content
    refused = run_here(SEARCH, toy.search(other))
    assert refused.code == 2
    assert "--seed 1" in refused.stderr
    assert run_here(SEARCH, [*toy.search(other), "--restart"]).code == 0
    assert result(other) == result(searched)
