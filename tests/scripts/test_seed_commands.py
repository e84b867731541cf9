"""The commands of the user's own README run word for word, paths and budgets apart."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from generalNAS_tools.files.genotype_files import read_genotype
from tests.scripts.runs import FINAL, ROOT, SEARCH, SEQ_SIZE, TEST, history_length, run_here

DARTS = """python train_genomicDARTS.py --num_steps=2000 --seq_size=1000 --batch_size=64 \
--train_directory='/home/ascheppa/deepsea/train.mat' \
--valid_directory='/home/ascheppa/deepsea/valid.mat' \
--test_directory='/home/ascheppa/deepsea/test.mat' --report_freq=1000 --dropouth=0.05 \
--dropoutx=0.1 --rhn_lr=8 --one_clip=True --clip=0.25 --validation=True --report_validation=1 \
--epochs=50 --task='TF_bindings' --save='darts_1' --save_dir=results/darts_search"""
TRAIN = """python train_finalArchitecture.py --num_steps=3000 --seq_size=1000 --batch_size=100 \
--train_directory='/home/ascheppa/deepsea/train.mat' \
--valid_directory='/home/ascheppa/deepsea/valid.mat' \
--test_directory='/home/ascheppa/deepsea/test.mat' --dropouth=0.05 --dropoutx=0.1 --epochs=50 \
--rhn_lr=8 --task='TF_bindings' --save_dir=darts_finalArchs --save='darts_arch_1' \
--model_path='darts_finalArchs/darts_arch_1.pth' \
--genotype_file='/home/ascheppa/GenomNet_MA/genomicNAS_Algorithms/darts_search/darts_geno-darts_1.npy'
"""
RATE = """python test_finalArchitecture.py --seq_size=1000 --batch_size=100 \
--train_directory='/home/ascheppa/deepsea/train.mat' \
--valid_directory='/home/ascheppa/deepsea/valid.mat' \
--test_directory='/home/ascheppa/deepsea/test.mat' --dropouth=0.05 --dropoutx=0.1 --rhn_lr=8 \
--task='TF_bindings' --save_dir=darts_test --save='darts_test_1' \
--model='/home/ascheppa/GenomNet_MA/generalNAS_tools/darts_finalArchs/darts_arch_1.pth'"""
BUDGET = {"--num_steps": "2", "--seq_size": f"{SEQ_SIZE}", "--batch_size": "8", "--epochs": "2"}
SMALL = ["--init_channels=2", "--layers=2"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the code, so that relative folders don't end up in the repository."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("generalNAS_tools", "darts_tools"):
        shutil.copytree(ROOT / name, copy / name)
    shutil.copy(ROOT / SEARCH, copy)
    (copy / "results").mkdir()
    return copy


def adapt(command, toy, project):
    """The words of a command with this test's paths and budgets."""
    words = shlex.split(command)
    for i, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag in BUDGET:
            words[i] = f"{flag}={BUDGET[flag]}"
        elif value.startswith("/home/ascheppa/deepsea"):
            words[i] = f"{flag}={toy.folder / 'data' / value.rpartition('/')[2]}"
    line = " ".join(words).replace(
        "/home/ascheppa/GenomNet_MA/genomicNAS_Algorithms", str(project / "results")
    )
    return line.replace("/home/ascheppa/GenomNet_MA", str(project)).split()[1:]


def run(words, folder):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_search_train_and_test(toy, project):
    (project / "results" / "darts_search").mkdir()
    run([*adapt(DARTS, toy, project), *SMALL], project)
    searched = project / "results" / "darts_search"
    names = ["darts_geno", "train_loss", "acc_train", "valid_loss", "acc_valid", "time"]
    for name in names:
        array = np.load(searched / f"{name}-darts_1.npy", allow_pickle=False)
        assert array.shape == (() if name == "darts_geno" else (2,)), name
    read_genotype(searched / "darts_geno-darts_1.npy")
    for name in ("genotype", "alphas", "curves"):
        assert (searched / f"{name}-darts_1.png").stat().st_size > 1000
    for name in ("history-darts_1.csv", "log-darts_1.txt"):
        assert (searched / name).read_text().strip()
    config = json.loads((searched / "config-darts_1.json").read_text())
    assert (config["rhn_lr"], config["clip"], config["one_clip"]) == (8.0, 0.25, True)
    assert config["validation"] is True
    assert config["task"] == "TF_bindings"

    tools = project / "generalNAS_tools"
    (tools / "darts_finalArchs").mkdir()
    run([*adapt(TRAIN, toy, project), *SMALL], tools)
    assert (tools / "darts_finalArchs" / "darts_arch_1.pth").is_file()
    assert np.load(tools / "darts_finalArchs" / "valid_loss-darts_arch_1.npy").shape == (2,)

    (tools / "darts_test").mkdir()
    run(adapt(RATE, toy, project), tools)
    check_report(tools / "darts_test")
    same_from_the_root(toy, project)


def check_report(folder):
    predictions = np.load(folder / "predictions_test-darts_test_1.npy", allow_pickle=False)
    labels = np.load(folder / "labels_test-darts_test_1.npy", allow_pickle=False)
    loss = np.load(folder / "test_loss-darts_test_1.npy", allow_pickle=False)
    assert predictions.shape == labels.shape == (20, 5)
    expected = -np.where(labels, np.log(predictions), np.log1p(-predictions)).mean()
    assert loss == pytest.approx(expected, rel=1e-5)
    metrics = json.loads((folder / "metrics_test-darts_test_1.json").read_text())
    assert metrics["test_loss"] == float(loss)
    assert metrics["num_targets"] == 5


def same_from_the_root(toy, project):
    """Both final scripts give the same bytes when they are started from the root."""
    inside = project / "generalNAS_tools"
    line = [*adapt(TRAIN, toy, project)[1:], *SMALL]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        assert run_here(FINAL, line).code == 0
        assert run_here(TEST, adapt(RATE, toy, project)[1:]).code == 0
    for name in (
        "darts_finalArchs/darts_arch_1.pth",
        "darts_test/predictions_test-darts_test_1.npy",
        "darts_test/metrics_test-darts_test_1.json",
    ):
        assert (project / name).read_bytes() == (inside / name).read_bytes()


@pytest.mark.parametrize("spelling", ["--validation=False", "--no-validation"])
@pytest.mark.parametrize("script", [SEARCH, FINAL])
def test_validation_is_really_off(script, spelling, toy, tmp_path):
    line = (toy.search if script == SEARCH else toy.final)(tmp_path, epochs=1, num_steps=1)
    done = run_here(script, [*line, spelling])
    assert done.code == 0, done.stderr
    assert history_length(tmp_path) == 1
    assert np.load(tmp_path / "valid_loss-a.npy").size == 0
    assert np.load(tmp_path / "acc_valid-a.npy").size == 0
    assert "valid_loss" not in done.stderr
    assert script == SEARCH or (tmp_path / "model-a.pth").is_file()


def test_report_validation_skips_epochs(toy, tmp_path):
    line = toy.final(tmp_path, report_validation=2, num_steps=1)
    assert run_here(FINAL, line).code == 0
    assert history_length(tmp_path) == 3
    assert np.load(tmp_path / "valid_loss-a.npy").size == 1


@pytest.mark.parametrize("script", [SEARCH, FINAL])
def test_amp_runs(script, toy, tmp_path):
    line = (toy.search if script == SEARCH else toy.final)(tmp_path, epochs=2, num_steps=1)
    assert run_here(script, [*line, "--amp"]).code == 0
    losses = np.load(tmp_path / "train_loss-a.npy")
    assert np.isfinite(losses).all()
    plain = tmp_path / "plain"
    line = (toy.search if script == SEARCH else toy.final)(plain, epochs=2, num_steps=1)
    assert run_here(script, line).code == 0
    float32 = np.load(plain / "train_loss-a.npy")
    assert losses[0] != float32[0]
    assert losses[0] == pytest.approx(float32[0], rel=0.02)


def test_average_of_both_strands(toy, trained, tmp_path):
    model = trained / "model-a.pth"
    assert run_here(TEST, toy.test(tmp_path / "one", model)).code == 0
    assert run_here(TEST, toy.test(tmp_path / "two", model, average_reverse_complement=1)).code == 0
    single = np.load(tmp_path / "one" / "predictions_test-t.npy")
    averaged = np.load(tmp_path / "two" / "predictions_test-t.npy")
    np.testing.assert_allclose(averaged, (single[:10] + single[10:]) / 2, rtol=1e-6)
    assert np.load(tmp_path / "two" / "labels_test-t.npy").shape == (10, 5)
    assert not np.allclose(single[:10], single[10:], rtol=1e-6)
