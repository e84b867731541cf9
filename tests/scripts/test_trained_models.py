"""What the scripts train is loaded with its targets' names and predicts what the test predicts."""

import json

import numpy as np
import pytest
import scipy.io
import torch

from generalNAS_tools.load_model import load_model
from tests.scripts.in_process import command_line
from tests.scripts.runs import FINAL, TEST, Toy, run_here

BASELINE = "baseline_models/train_baseline.py"


@pytest.fixture
def named(tmp_path):
    """A bundle with names."""
    toy = Toy.make(tmp_path, seq_size=40, num_targets=2)
    toy.data.train.with_name("targets.txt").write_text("GATA1 in K562\nCTCF\n")
    return toy


def predictions(toy, model):
    """Probabilities for the test set, its channels put into the order A, C, G, T."""
    x = torch.from_numpy(scipy.io.loadmat(toy.data.test)["testxdata"]).float()
    with torch.no_grad():
        return load_model(model, probabilities=True)(x[:, [0, 2, 1, 3]]).numpy()


def test_a_final_network(named, tmp_path):
    run = named.final(tmp_path / "run", seq_size=40, epochs=1)
    outcome = run_here(FINAL, run)
    assert outcome.code == 0, outcome.stderr
    model = tmp_path / "run" / "model-a.pth"
    assert load_model(model).targets == ("GATA1 in K562", "CTCF")
    assert run_here(TEST, named.test(tmp_path / "test", model)).code == 0
    expected = np.load(tmp_path / "test" / "predictions_test-t.npy")
    np.testing.assert_allclose(predictions(named, model), expected, rtol=1e-4, atol=1e-6)
    written = json.loads((tmp_path / "test" / "config_test-t.json").read_text())
    assert written["model"] == str(model)
    metrics = json.loads((tmp_path / "test" / "metrics_test-t.json").read_text())
    assert metrics["targets"] == ["GATA1 in K562", "CTCF"]
    assert written["data of --test_directory"].startswith("16 sequences of 40 bp, 2 targets")
    named.data.test.with_name("targets.txt").unlink()
    assert run_here(TEST, named.test(tmp_path / "unnamed", model)).code == 0
    metrics = json.loads((tmp_path / "unnamed" / "metrics_test-t.json").read_text())
    assert metrics["targets"] == ["GATA1 in K562", "CTCF"]
    named.data.test.with_name("targets.txt").write_text("CTCF\nGATA1 in K562\n")
    outcome = run_here(TEST, named.test(tmp_path / "other", model))
    assert outcome.code == 2
    assert "target 0 is CTCF, but GATA1 in K562 in " in outcome.stderr
    assert not (tmp_path / "other").exists()


def test_a_baseline(named, tmp_path):
    own = {"model": "DanQ", "epochs": 1, "num_steps": 1, "batch_size": 8, "device": "cpu"}
    files = {"save": "a", "save_dir": tmp_path / "run"}
    outcome = run_here(BASELINE, command_line(named.data_flags() | own | files))
    assert outcome.code == 0, outcome.stderr
    model = tmp_path / "run" / "model-a.pth"
    assert load_model(model).targets == ("GATA1 in K562", "CTCF")
    expected = np.load(tmp_path / "run" / "predictions_test-a.npy")
    np.testing.assert_allclose(predictions(named, model), expected, rtol=1e-4, atol=1e-6)


def test_names_of_other_data_are_refused(named, tmp_path):
    named.data.train.with_name("targets.txt").write_text("CTCF\n")
    outcome = run_here(FINAL, named.final(tmp_path / "run", seq_size=40))
    assert outcome.code == 2
    assert "targets.txt: 1 names; " in outcome.stderr
