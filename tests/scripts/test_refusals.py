"""Wrong input is one line and exit code 2; what stood on disk before stays."""

import contextlib
import json
import pickle
import resource
import shutil
import signal

import numpy as np
import pytest
import torch

import generalNAS_tools.training.train_loop
from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.runs import arithmetic
from tests.generalNAS_tools.networks.rhn.compiling import compiling
from tests.scripts.runs import (
    FINAL,
    SEARCH,
    SEQ_SIZE,
    TEST,
    leftovers,
    log_of,
    refusal,
    result,
    run_here,
    start,
    wait_for,
)
from tests.scripts.test_interruptions import send_at
from tests.toy_bundle import toy_arrays, write_v5


def refused(script, line, *words):
    message = refusal(run_here(script, line))
    for word in words:
        assert str(word) in message
    return message


def changed(line, **flags):
    return [*line, *(f"--{name}={value}" for name, value in flags.items())]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"train_directory": "nowhere.mat"}, ["--train_directory", "nowhere.mat"]),
        ({"seq_size": 1000}, ["--seq_size 1000", f"{SEQ_SIZE} bp"]),
        ({"device": "abacus"}, ["--device abacus"]),
        ({"device": "meta"}, ["--device meta"]),
        ({"device": ""}, ["--device"]),
        ({"save": "a/b"}, ["--save 'a/b'"]),
        ({"save": ""}, ["--save", "''"]),
        ({"save": "n" * 200}, ["--save 'nn", "150 bytes"]),
        ({"layers": 40}, ["--layers 40", "--init_channels 2", "GiB"]),
        ({"init_channels": 10**6}, ["--layers 2", "--init_channels 1000000", "GiB"]),
        ({"validation": "maybe"}, ["--validation", "'maybe'"]),
        ({"epochs": "0"}, ["--epochs", "'0'"]),
        ({"seed": str(2**70)}, ["--seed"]),
        ({"rhn_lr": "nan"}, ["--rhn_lr", "'nan'"]),
        ({"epoch": "3"}, ["unrecognized arguments: --epoch=3"]),
        ({"task": "other"}, ["--task", "'other'"]),
    ],
)
def test_wrong_flags(flags, words, toy, tmp_path):
    refused(SEARCH, changed(toy.search(tmp_path / "run"), **flags), *words)
    assert not (tmp_path / "run").exists()


def test_wrong_data(toy, tmp_path):
    cut = tmp_path / "cut.mat"
    cut.write_bytes(toy.data.train.read_bytes()[:-3000])
    other = toy_arrays(10, SEQ_SIZE + 4, 5)
    longer = write_v5(tmp_path / "longer.mat", "valid", *other)
    nameless = write_v5(tmp_path / "nameless.mat", "train", *other)
    single = write_v5(tmp_path / "single.mat", "valid", *toy_arrays(1, SEQ_SIZE, 5))
    line = toy.search(tmp_path / "run")
    refused(SEARCH, changed(line, valid_directory=single), single, "1 sequence", "2 or more")
    refused(SEARCH, changed(line, train_directory=cut), cut)
    refused(SEARCH, changed(line, valid_directory=longer), longer, f"{SEQ_SIZE + 4} bp")
    refused(SEARCH, changed(line, valid_directory=nameless), nameless, "validxdata", "trainxdata")
    assert not (tmp_path / "run").exists()
    assert not leftovers(tmp_path)
    packed = sorted(path.name for path in tmp_path.glob("*.packed"))
    assert packed == ["longer.mat.valid.packed", "single.mat.valid.packed"]


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_wrong_genotype_files(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = toy.final(tmp_path / "run")
    bomb, text = tmp_path / "bomb.npy", tmp_path / "text.npy"
    np.save(bomb, np.array(Bomb(), dtype=object), allow_pickle=True)
    text.write_text("no genotype")
    for path in (bomb, text, tmp_path / "missing.npy", toy.data.train):
        refused(FINAL, changed(line, genotype_file=path), path)
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "run").exists()


def test_checkpoints_of_other_runs(toy, searched, trained, tmp_path):
    before = result(searched)
    line = toy.search(searched)
    refused(SEARCH, changed(line, rhn_lr=7), "--rhn_lr 8.0", "7.0", "--restart")
    refused(SEARCH, changed(line, unrolled=True, optimizer="adamw"), "--optimizer=sgd")
    refused(SEARCH, changed(line, unrolled=True), "--unrolled False")
    other = write_v5(tmp_path / "v.mat", "valid", *toy_arrays(11, SEQ_SIZE, 5))
    refused(SEARCH, changed(line, valid_directory=other), "data of --valid_directory 12 sequences")
    refused(FINAL, toy.final(searched), searched)
    flagless = {"report_freq": 7, "cache_dir": tmp_path}
    assert run_here(SEARCH, changed(line, **flagless)).code == 0
    assert result(searched) == before


def write_damaged(path, whole):
    """Yields after writing each of several damaged versions of a file."""
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for content in (whole[:middle], whole[:-1], b"", b"no file", pickle.dumps(Bomb()), flipped):
        path.write_bytes(content)
        yield content
    torch.save([1, 2], path)
    yield path.read_bytes()
    torch.save({"config": {}}, path)
    yield path.read_bytes()


def test_damaged_checkpoints(toy, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint-a.pt"
    whole = (trained / "checkpoint-a.pt").read_bytes()
    for content in write_damaged(path, whole):
        refused(FINAL, toy.final(tmp_path), path)
        assert path.read_bytes() == content
    state = load_weights(trained / "checkpoint-a.pt")
    del state["objects"]["network"]["network.rhn.W0"]
    torch.save(state, path)
    shutil.copy(trained / "model-a.pth", tmp_path)
    refused(FINAL, toy.final(tmp_path), path, "doesn't fit this command; start over with --restart")
    assert not (tmp_path / "exploded").exists()
    assert run_here(FINAL, [*toy.final(tmp_path), "--restart"]).code == 0
    assert result(tmp_path) == result(trained)


def test_wrong_models(toy, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, report = trained / "model-a.pth", tmp_path / "report"
    path = tmp_path / "model.pth"
    for _ in write_damaged(path, model.read_bytes()):
        refused(TEST, toy.test(report, path), path)
    refused(
        TEST, toy.test(report, trained / "checkpoint-a.pt"), "checkpoint-a.pt", "expected a model"
    )
    refused(TEST, toy.test(report, tmp_path / "missing"), "missing: no such file")
    refused(TEST, toy.test(report, tmp_path), "no such file")
    for change in (
        {"options": {"seq_size": SEQ_SIZE}},
        {"options": {**load_weights(model)["options"], "init_channels": "2"}},
        {"options": {**load_weights(model)["options"], "init_channels": 4}},
        {"options": [1]},
        {"weights": {}},
        {"weights": 3},
        {"genotype": {}},
    ):
        torch.save(load_weights(model) | change, path)
        refused(TEST, toy.test(report, path), path)
    refused(TEST, toy.test(report, model, seq_size=30), "--seq_size", "30", f"{SEQ_SIZE}")
    longer = write_v5(tmp_path / "longer.mat", "test", *toy_arrays(9, SEQ_SIZE + 4, 5))
    refused(
        TEST,
        toy.test(report, model, test_directory=longer),
        longer,
        f"{SEQ_SIZE + 4}",
        f"{SEQ_SIZE}",
    )
    assert not report.exists()
    assert not (tmp_path / "exploded").exists()


@contextlib.contextmanager
def largest_file(size):
    """No file can grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def stop_after_an_epoch(script, line):
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, signal.SIGTERM, name="bce_loss", call=3)
        assert run_here(script, line).code == 143


@pytest.mark.parametrize("script", [SEARCH, FINAL])
def test_a_full_disk(script, toy, tmp_path, request):
    undisturbed = request.getfixturevalue("searched" if script == SEARCH else "trained")
    line = (toy.search if script == SEARCH else toy.final)(tmp_path)
    stop_after_an_epoch(script, line)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("[!l]*") if path.is_file()}
    with largest_file(len(before["checkpoint-a.pt"]) // 3):
        outcome = run_here(script, line)
    assert outcome.code == 2
    assert "Traceback" not in outcome.stderr
    last = outcome.stderr.splitlines()[-1]
    assert ("checkpoint-a.pt" if script == SEARCH else "-a.pt") in last
    assert "can't be written (File too large)" in last
    for name, content in before.items():
        if name.startswith(("checkpoint", "history", "model")):
            assert (tmp_path / name).read_bytes() == content
    assert not leftovers(tmp_path)
    assert run_here(script, line).code == 0
    assert result(tmp_path) == result(undisturbed)


def test_a_report_that_does_not_fit(toy, trained, tmp_path):
    with largest_file(300):
        refused(TEST, toy.test(tmp_path, trained / "model-a.pth"), "predictions_test-t.npy")
    assert not leftovers(tmp_path)
    assert not (tmp_path / "metrics_test-t.json").exists()


def test_save_dir_that_cannot_be(toy, tmp_path):
    (tmp_path / "file").write_text("")
    refused(SEARCH, toy.search(tmp_path / "file"), "--save_dir", tmp_path / "file")
    refused(SEARCH, toy.search(tmp_path / "file" / "deeper"), "--save_dir", "Not a directory")


def test_two_processes_on_one_run(toy, trained, tmp_path):
    first = start(FINAL, toy.final(tmp_path, epochs=300))
    wait_for(lambda: "epoch 1/300" in log_of(tmp_path), "its first epoch")
    refused(FINAL, toy.final(tmp_path, epochs=300), "another process", ".a.lock")
    refused(FINAL, [*toy.final(tmp_path), "--restart"], "another process")
    assert (tmp_path / "checkpoint-a.pt").exists()
    assert first.is_alive()
    assert run_here(FINAL, toy.final(tmp_path, save="b", num_steps=1, epochs=1)).code == 0
    first.terminate()
    first.join()
    assert first.exitcode == 143


def poison(monkeypatch, *, call, what):
    """Makes the call-th weight step end in NaN: its loss, or a weight."""
    original = generalNAS_tools.training.train_loop.weight_step
    calls = []

    def wrapped(network, *args, **options):
        calls.append(1)
        loss, logits = original(network, *args, **options)
        if len(calls) == call and what == "loss":
            loss = loss * float("inf")
        elif len(calls) == call:
            next(network.parameters()).data.view(-1)[0] = float("nan")
        return loss, logits

    monkeypatch.setattr(generalNAS_tools.training.train_loop, "weight_step", wrapped)


@pytest.mark.parametrize(("what", "report_freq"), [("loss", 1), ("loss", 50), ("weight", 50)])
@pytest.mark.parametrize("validation", [True, False])
def test_a_loss_that_is_not_finite(what, report_freq, validation, toy, trained, tmp_path):
    line = toy.final(tmp_path, report_freq=report_freq, validation=validation)
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, call=3, what=what)
        outcome = run_here(FINAL, line)
    assert outcome.code == 3
    assert "Traceback" not in outcome.stderr
    last = outcome.stderr.splitlines()[-1]
    assert last.startswith("epoch 2: ")
    assert (
        "checkpoint-a.pt holds the state after epoch 1; go on from there with --allow_changed_rates"
        in last
    )
    state = load_weights(tmp_path / "checkpoint-a.pt")
    assert len(state["history"]) == 1
    assert run_here(FINAL, line).code == 0
    if validation:
        assert result(tmp_path) == result(trained)


def test_a_diverged_run_goes_on_with_lower_rates(toy, tmp_path):
    def line(folder, **flags):
        return toy.final(tmp_path / folder, epochs=4, report_freq=50, **flags)

    lower = {"rhn_lr": 2, "cnn_lr": 0.01, "one_clip": False}
    for folder in "ab":
        with pytest.MonkeyPatch.context() as patch:
            poison(patch, call=5, what="weight")
            assert run_here(FINAL, line(folder)).code == 3
        refused(FINAL, line(folder, **lower), "--cnn_lr 0.025, now it is 0.01", "--allow_changed")
    allowed = line("a", **lower, allow_changed_rates=True)
    assert run_here(FINAL, allowed).code == 0
    config = json.loads((tmp_path / "a" / "config-a.json").read_text())
    assert config["rhn_lr"] == 2
    assert config["changed_rates"]["3"]["rhn_lr"] == [8.0, 2.0]
    rows = result(tmp_path / "a")["history-a.csv"]
    text = "cnn_lr 0.025 → 0.01, one_clip True → False, rhn_lr 8.0 → 2.0"
    assert [row["changed_rates"] for row in rows] == ["", "", text, ""]
    assert run_here(FINAL, line("a", **lower)).code == 0  # finished; nothing changes any more

    allowed = line("b", **lower, allow_changed_rates=True)
    with pytest.MonkeyPatch.context() as patch:  # in the epoch of the change
        send_at(patch, signal.SIGTERM, name="weight_step", call=1)
        assert run_here(FINAL, allowed).code == 143
    assert run_here(FINAL, line("b", **lower)).code == 0
    assert result(tmp_path / "b") == result(tmp_path / "a")


def test_slow_bfloat16_is_said_once_in_the_log(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(arithmetic, "_seconds", lambda dtype: 50 if dtype is torch.bfloat16 else 1)
    line = toy.final(tmp_path, epochs=1, num_steps=1, amp=True)
    assert run_here(FINAL, line).code == 0
    assert run_here(TEST, toy.test(tmp_path, tmp_path / "model-a.pth", amp=True)).code == 0
    for save in ("a", "t"):
        assert log_of(tmp_path, save).count("--amp: bfloat16 takes 50 times") == 1


def test_compiling_is_part_of_the_configuration(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "_piece", lambda function, examples: function)
    with compiling(False):
        assert run_here(FINAL, toy.final(tmp_path, epochs=1)).code == 0
        assert run_here(FINAL, toy.final(tmp_path, epochs=1, compile="off")).code == 0
        refused(
            FINAL, toy.final(tmp_path, epochs=1, compile="on"), "with --compile off, now it is on"
        )
        assert run_here(FINAL, toy.final(tmp_path / "on", epochs=1, compile="on")).code == 0
        assert json.loads((tmp_path / "on" / "config-a.json").read_text())["compile"] == "on"
        compiled.use(False)


def test_a_signal_does_not_save_what_is_not_finite(toy, trained, tmp_path):
    line = toy.final(tmp_path, report_freq=50)
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, call=3, what="loss")
        send_at(patch, signal.SIGTERM, name="weight_step", call=3)
        outcome = run_here(FINAL, line)
    assert outcome.code == 3
    assert "train_loss is not finite" in outcome.stderr
    assert run_here(FINAL, line).code == 0
    assert result(tmp_path) == result(trained)


def test_a_search_that_diverges(toy, tmp_path):
    line = toy.search(tmp_path, cnn_lr=1e18, rhn_lr=1e18, one_clip=False, report_freq=50)
    outcome = run_here(SEARCH, line)
    assert outcome.code == 3
    assert "Traceback" not in outcome.stderr
    last = outcome.stderr.splitlines()[-1]
    assert last.startswith("epoch 1: ")
    assert "; no state was saved before; try a lower --rhn_lr or --cnn_lr or --clip" in last
    assert not (tmp_path / "darts_geno-a.npy").exists()


def test_only_a_test_needs_the_test_set(toy, tmp_path):
    line = toy.search(tmp_path / "search", test_directory="nowhere.mat", epochs=1)
    outcome = run_here(SEARCH, line)
    assert outcome.code == 0
    assert "nowhere.mat: no such file yet; only a test needs it" in outcome.stderr
    data = {name: path for name, path in toy.data_flags().items() if name != "test_directory"}
    flags = data | {"test_directory": "nowhere.mat", "model": "DeepSEA", "save_dir": tmp_path}
    outcome = run_here(
        "baseline_models/train_baseline.py", [f"--{name}={value}" for name, value in flags.items()]
    )
    assert outcome.code == 2
    assert "nowhere.mat" in outcome.stderr
