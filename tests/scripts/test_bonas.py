"""genomeBONAS through its script: files, the archive, interruptions in every phase, refusals."""

import json
import multiprocessing
import os
import shlex
import shutil
import signal
from functools import partial
from importlib import import_module
from unittest import mock

import numpy as np
import pytest

from BONAS_search_space.graphs import architecture_key
from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.search_space.genotypes import parse_genotype
from opendomain_utils.archive import Archive
from tests.scripts.runs import (
    FINAL,
    SEQ_SIZE,
    TEST,
    history_length,
    log_of,
    refusal,
    result,
    run_here,
)

BONAS = "train_genomicBONAS.py"
COMMAND = """python train_genomicBONAS.py --num_steps=2000 --seq_size=1000  \
--train_directory='/home/ascheppa/deepsea/train.mat' \
--valid_directory='/home/ascheppa/deepsea/valid.mat' \
--test_directory='/home/ascheppa/deepsea/test.mat' --report_freq=1000 --dropouth=0.05 \
--dropoutx=0.1 --rhn_lr=8 --one_clip=True --clip=0.25  --super_batch_size=64 \
--sub_batch_size=128 --generate_num=1000 --bo_sample_num=60 --epochs=60 \
--train_supernet_epochs=15 --iterations=2 --gcn_epochs=100 --sample_method='ea' \
--task='TF_bindings' --save='bonas_1' --save_dir=results/bonas_search"""
BUDGET = {
    "--num_steps": "2", "--seq_size": f"{SEQ_SIZE}",
    "--super_batch_size": "8", "--sub_batch_size": "12",
    "--generate_num": "50", "--bo_sample_num": "3", "--epochs": "2", "--train_supernet_epochs": "1",
    "--gcn_epochs": "5",
}  # fmt: skip
SMALL = {
    "epochs": 2, "train_supernet_epochs": 1, "super_batch_size": 8, "sub_batch_size": 10,
    "init_num": 3, "bo_sample_num": 2, "iterations": 2, "generate_num": 12, "gcn_epochs": 2,
    "recalibration_steps": 2,
}  # fmt: skip


def line_of(toy, folder, **flags):
    """Command line of a small search."""
    return toy.sampled(folder, **(SMALL | flags))


def bonas(line):
    with mock.patch("BO_tools.quality_report.draw_quality"):
        return run_here(BONAS, line)


@pytest.fixture(scope="module")
def searched(toy):
    folder = toy.folder / "bonas"
    done = bonas(line_of(toy, folder))
    assert done.code == 0, done.stderr
    return folder


def rows(folder, save="a"):
    """The archive without the seconds, in order."""
    entries = Archive(folder / f"archive-{save}.jsonl").entries
    return [entry._replace(seconds=0) for entry in entries]


def outcome(folder):
    """All that must not depend on interruptions."""
    quality = (folder / "predictor_quality-a.json").read_text()
    return result(folder) | {"archive": rows(folder), "quality": quality}


def test_the_command_of_the_readme_then_final_training_and_test(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(COMMAND)[2:]
    for i, word in enumerate(words):
        flag, _, value = word.partition("=")
        words[i] = f"{flag}={BUDGET.get(flag, value)}".replace(
            "/home/ascheppa/deepsea", str(toy.folder / "data")
        )
    done = run_here(BONAS, [*words, "--init_channels=2", "--layers=2"], pictures=True)
    assert done.code == 0, done.stderr
    folder = tmp_path / "results" / "bonas_search"
    scores = np.load(folder / "samples_acc-bonas_1.npy", allow_pickle=False)
    archive = rows(folder, "bonas_1")
    assert [entry.score for entry in archive] == scores.tolist()
    assert [entry.iteration for entry in archive] == [0] * 3 + [1] * 3 + [2] * 3
    best = read_genotype(folder / "bonas_geno-bonas_1.npy")
    assert best == min(archive, key=lambda entry: (-entry.score, entry.valid_loss)).genotype
    assert best.normal == best.reduce
    for name, count in {"train_loss": 6, "acc_train": 6, "time": 6, "acc_valid": 3}.items():
        assert np.load(folder / f"{name}-bonas_1.npy").shape == (count,), name
    for name in ("genotype", "curves", "predictor_quality"):
        assert (folder / f"{name}-bonas_1.png").stat().st_size > 1000
    quality = json.loads((folder / "predictor_quality-bonas_1.json").read_text())
    assert [row["architectures"] for row in quality] == [6, 9]
    assert all(-1 <= row[name] <= 1 for row in quality for name in ("spearman", "kendall"))
    assert done.stderr.count("Spearman") == 2

    line = toy.final(tmp_path, genotype_file=folder / "bonas_geno-bonas_1.npy", epochs=1)
    assert run_here(FINAL, line).code == 0
    assert run_here(TEST, toy.test(tmp_path, tmp_path / "model-a.pth")).code == 0
    assert json.loads((tmp_path / "metrics_test-t.json").read_text())["num_targets"] == 5


def test_no_architecture_is_trained_twice(searched):
    keys = [architecture_key(entry.genotype) for entry in rows(searched)]
    assert len(keys) == len(set(keys)) == 7
    state = load_weights(searched / "checkpoint-a.pt")
    last = [
        parse_genotype(json.loads(text), source="") for text in state["position"]["architectures"]
    ]
    assert [architecture_key(genotype) for genotype in last] == keys[-2:]


def test_a_phase_a_row_and_validation_of_whole_supernets_only(searched):
    history = result(searched)["history-a.csv"]
    assert [(row["iteration"], row["phase"]) for row in history] == [
        (str(iteration), phase) for iteration in range(3) for phase in ("supernet", "subnets")
    ]
    assert [bool(row["acc_valid"]) for row in history] == [True, False] * 3


def call_at(target, call, action):
    """Patches a function, as module.name or module.class.name, to act at its call-th call."""
    path, _, name = target.rpartition(".")
    owner = getattr(import_module(path.rpartition(".")[0]), path.rpartition(".")[2], None)
    owner = owner or import_module(path)
    original, calls = getattr(owner, name), []

    def wrapped(*args, **options):
        calls.append(name)
        if len(calls) == call:
            action()
        return original(*args, **options)

    return mock.patch.object(owner, name, wrapped)


def killed(line, target, call):
    """Runs the script in a forked process that kills itself at a call; whether it did."""

    def child():
        with call_at(target, call, partial(os.kill, os.getpid(), signal.SIGKILL)):
            code = bonas(line).code
        os._exit(code)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


STEP = "generalNAS_tools.training.train_loop.weight_step"
SCORE = "BO_tools.shared_training.evaluate"
FIT = "BO_tools.surrogate.fit_surrogate"
APPEND = "opendomain_utils.archive.Archive.append"
PHASES = [
    (STEP, 2, 0, 0),  # the first supernet, before the first checkpoint
    (STEP, 4, 1, 0),  # its subnets
    (SCORE, 2, 2, 1),
    (APPEND, 2, 2, 2),  # scored, but not written
    (FIT, 1, 2, 3),  # the surrogate of the first proposals
    ("BO_tools.proposals.rank", 1, 2, 3),
    (STEP, 1, 2, 3),  # the next supernet
    (STEP, 4, 3, 3),  # its subnets
    (SCORE, 1, 4, 3),
    ("BO_tools.predictor_quality.fit_surrogate", 1, 4, 5),  # the report on iteration 1
    (FIT, 1, 4, 5),
    (STEP, 3, 5, 5),  # subnets of the last iteration
    (SCORE, 2, 6, 6),
    ("generalNAS_tools.runs.run_files.write_genotype", 1, 6, 7),
]
"""Where to kill, at which call, and then epochs finished and architectures scored."""


def test_killed_in_every_phase(toy, searched, tmp_path):
    line, whole = line_of(toy, tmp_path), rows(searched)
    for target, call, epochs, scored in PHASES:
        assert killed(line, target, call), target
        assert history_length(tmp_path) == epochs if epochs else True, target
        assert rows(tmp_path) == whole[:scored], target
    assert bonas(line).code == 0
    assert outcome(tmp_path) == outcome(searched)
    assert not list(tmp_path.glob(".*.part"))


def test_killed_while_a_row_is_written(toy, searched, tmp_path):
    line = line_of(toy, tmp_path)
    assert killed(line, APPEND, 3)
    table = tmp_path / "archive-a.jsonl"
    table.write_bytes(table.read_bytes()[:-9])
    done = bonas(line)
    assert "torn last line" in done.stderr
    assert outcome(tmp_path) == outcome(searched)


@pytest.mark.parametrize("kept", [None, 0, 2, 4])
def test_an_archive_that_was_lost_or_torn(kept, toy, searched, tmp_path):
    """Rows of earlier iterations come from the checkpoint, the others are scored again."""
    line, table = line_of(toy, tmp_path), tmp_path / "archive-a.jsonl"
    assert killed(line, STEP, 8)  # iteration 1, whose checkpoint stands on 3 rows
    assert killed(line, APPEND, 2)
    rows_before = table.read_bytes().splitlines(keepends=True)
    assert len(rows_before) == 4
    if kept is None:
        table.unlink()
    else:
        table.write_bytes(b"".join(rows_before[:kept]))
    done = bonas(line)
    assert done.code == 0, done.stderr
    assert ("archive-a.jsonl had lost rows; 3 are there again" in done.stderr) == (kept != 4)
    assert outcome(tmp_path) == outcome(searched)


def test_a_finished_run_scores_lost_rows_again(toy, searched, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(searched, folder)
    (folder / "archive-a.jsonl").unlink()
    assert bonas(line_of(toy, folder)).code == 0
    assert outcome(folder) == outcome(searched)


def test_rows_without_their_checkpoint_are_refused(toy, searched, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(searched, folder)
    (folder / "checkpoint-a.pt").unlink()
    before = (folder / "archive-a.jsonl").read_bytes()
    assert "archive-a.jsonl, line 1: " in refusal(bonas(line_of(toy, folder)))
    assert (folder / "archive-a.jsonl").read_bytes() == before
    assert bonas([*line_of(toy, folder), "--restart"]).code == 0
    assert outcome(folder) == outcome(searched)


@pytest.mark.parametrize(
    ("number", "target", "call", "step"),
    [
        (signal.SIGTERM, STEP, 1, 1),
        (signal.SIGINT, STEP, 7, 1),  # subnets of iteration 1
        (signal.SIGTERM, "generalNAS_tools.training.training_epoch.evaluate", 2, 2),
        (signal.SIGTERM, SCORE, 2, None),
        (signal.SIGTERM, FIT, 1, 1),
    ],
)
def test_stopped_by_a_signal(number, target, call, step, toy, searched, tmp_path):
    line = line_of(toy, tmp_path)
    with call_at(target, call, partial(signal.raise_signal, number)):
        stopped = bonas(line)
    assert stopped.code == 128 + number
    assert number.name in stopped.stderr
    assert "Traceback" not in stopped.stderr
    partial_state = load_weights(tmp_path / "checkpoint-a.pt")["partial"]
    assert (partial_state and partial_state["step"]) == step
    assert bonas(line).code == 0
    assert outcome(tmp_path) == outcome(searched)


def test_a_finished_run_changes_nothing_and_restart_repeats_it(toy, searched, tmp_path):
    before = outcome(searched)
    assert bonas(line_of(toy, searched)).code == 0
    assert outcome(searched) == before
    line = line_of(toy, tmp_path, seed=1)
    assert bonas(line).code == 0
    other = outcome(tmp_path)
    for name in ("archive", "train_loss-a.npy", "bonas_geno-a.npy"):
        assert other[name] != before[name]
    assert bonas([*line_of(toy, tmp_path), "--restart"]).code == 0
    assert outcome(tmp_path) == before


def test_a_later_run_starts_with_the_scores_of_an_earlier_one(toy, searched, tmp_path):
    given = searched / "archive-a.jsonl"
    before = given.read_bytes()
    flags = {"archive": given, "init_num": 0, "iterations": 1, "sample_method": "random"}
    line = line_of(toy, tmp_path, seed=5, predictor="lstm", acquisition="ei", loss_num=1, **flags)
    assert killed(line, STEP, 3)
    assert bonas(line).code == 0
    assert given.read_bytes() == before
    table = rows(tmp_path)
    assert table[:7] == rows(searched)
    assert [entry.iteration for entry in table[7:]] == [1, 1]
    assert len({architecture_key(entry.genotype) for entry in table}) == 9
    assert history_length(tmp_path) == 2
    assert np.load(tmp_path / "samples_acc-a.npy").shape == (9,)
    # the initial design of the same seed is drawn around what is known
    again = tmp_path / "again"
    assert bonas(line_of(toy, again, archive=given, iterations=0)).code == 0
    assert rows(again)[:7] == rows(searched)
    assert len(rows(again)) == 10


@pytest.mark.parametrize("predictor", ["mlp", "lstm"])
def test_other_predictors_and_phases_of_one_kind(predictor, toy, tmp_path):
    epochs = 0 if predictor == "mlp" else 2
    line = line_of(
        toy, tmp_path, predictor=predictor, train_supernet_epochs=epochs, init_num=5,
        iterations=1, validation=False, num_steps=1,
    )  # fmt: skip
    done = bonas(line)
    assert done.code == 0, done.stderr
    phases = [row["phase"] for row in result(tmp_path)["history-a.csv"]]
    assert phases == [["subnets", "supernet"][epochs > 0]] * 4
    assert len(rows(tmp_path)) == 7


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"train_supernet_epochs": 3}, ["--train_supernet_epochs 3", "0..2", "--epochs"]),
        ({"bo_sample_num": 13}, ["--bo_sample_num 13", "1..12", "--generate_num"]),
        ({"sample_method": "grid"}, ["--sample_method", "'grid'", "random"]),
        ({"predictor": "cnn"}, ["--predictor", "'cnn'", "lstm"]),
        ({"acquisition": "pi"}, ["--acquisition", "'pi'", "ucb"]),
        ({"loss_num": 4}, ["--loss_num", "4"]),
        ({"loss_num": "exp"}, ["--loss_num", "'exp'"]),
        ({"init_num": 0}, ["--init_num 0", "--archive"]),
        ({"gcn_lr": "nan"}, ["--gcn_lr", "'nan'"]),
        ({"archive": "nowhere.jsonl"}, ["nowhere.jsonl: no such file", "--archive"]),
    ],
)
def test_wrong_flags_are_refused(flags, words, toy, tmp_path):
    message = refusal(bonas(line_of(toy, tmp_path / "run", **flags)))
    for word in words:
        assert word in message


def test_a_broken_archive_is_refused_and_nothing_is_lost(toy, searched, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text((searched / "archive-a.jsonl").read_text().replace('"score"', '"note"'))
    before = outcome(searched)
    line = [*line_of(toy, searched, archive=broken), "--restart"]
    assert f"{broken}, line 1" in refusal(bonas(line))
    assert "--gcn_epochs 2, now it is 3" in refusal(bonas(line_of(toy, searched, gcn_epochs=3)))
    assert outcome(searched) == before
    assert "7 scored" in log_of(searched)
