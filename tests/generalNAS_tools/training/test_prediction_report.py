import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from generalNAS_tools.networks.frame import NetworkOptions, NetworkOutput
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.training.prediction_report import (
    Predictions,
    check_fit,
    predict_test_set,
    write_test_report,
)
from tests.generalNAS_tools.runs.run_cases import DNASplit, loop_options

LABELS = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], dtype=bool)
PREDICTIONS = np.array([[0.9, 0.1], [0.2, 0.3], [0.6, 0.2], [0.4, 0.2]], dtype=np.float32)


@pytest.fixture
def files(tmp_path):
    files = RunFiles(str(tmp_path / "report"), save="t", method="test")
    yield files
    files._lock.close()


def load(files, name):
    return np.load(files.path(name), allow_pickle=False)


def test_files_of_a_test(files):
    write_test_report(files, Predictions(LABELS, PREDICTIONS, 0.25, ["GATA1", "CTCF"]))
    assert load(files, "test_loss") == 0.25
    np.testing.assert_array_equal(load(files, "labels_test"), LABELS)
    np.testing.assert_array_equal(load(files, "predictions_test"), PREDICTIONS)
    metrics = json.loads(files.path("metrics_test", "json").read_text())
    assert (metrics["test_loss"], metrics["targets"]) == (0.25, ["GATA1", "CTCF"])
    assert (metrics["num_targets"], metrics["unscorable"]) == (2, [1])
    assert metrics["auroc"] == [1.0, None]


class LastBase(nn.Module):
    """Logit = the number of the last base's channel: not the same for both strands."""

    def forward(self, x):
        return NetworkOutput(x[:, :, -1] @ torch.tensor([[-1.0], [0.0], [1.0], [2.0]]), None)


def test_both_strands_are_averaged_whether_the_set_holds_them_or_not():
    network, options = LastBase(), loop_options(3, 99)
    doubled, single = DNASplit(10, doubled=True), DNASplit(10, doubled=True)
    single.num_sequences, single.x, single.labels = 5, single.x[:5], single.labels[:5]
    found = [
        predict_test_set(network, network, split=split, options=options, average_strands=average)
        for split, average in ((doubled, True), (single, True), (single, False))
    ]
    for labels, probabilities, loss, _ in found[:2]:
        assert labels.tolist() == (single.labels == 1).tolist()
        np.testing.assert_array_equal(probabilities, found[0].probabilities)
        assert probabilities.dtype == np.float32
        assert loss == pytest.approx(found[0].loss)
    logits = network(single.x).logits, network(single.x.flip(1, 2)).logits
    expected = (logits[0].sigmoid() + logits[1].sigmoid()) / 2
    np.testing.assert_allclose(found[1].probabilities, expected, rtol=1e-6)
    assert not np.allclose(found[2].probabilities, expected)


def test_nothing_is_written_of_wrong_predictions(files):
    wrong = PREDICTIONS.copy()
    wrong[1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        write_test_report(files, Predictions(LABELS, wrong, 0.25))
    assert [path.name for path in files.folder.iterdir()] == [".t.lock"]


@pytest.mark.parametrize(
    ("split", "seq_size", "message"),
    [
        ((50, 7), 50, None),
        ((50, 7), None, None),
        ((40, 7), None, r"t\.mat: sequence length 40; the model m\.pth takes 50"),
        ((50, 8), None, r"t\.mat: number of targets 8; .* takes 7"),
        ((50, 7), 40, "--seq_size: sequence length 40; .* takes 50"),
    ],
)
def test_model_data_and_flags_must_fit(split, seq_size, message):
    model = SimpleNamespace(options=NetworkOptions(50, 7), path="m.pth", targets=None)
    data = SimpleNamespace(seq_size=split[0], num_targets=split[1], path=Path("t.mat"))
    if message is None:
        assert check_fit(model, data, seq_size) is None
    else:
        with pytest.raises(ValueError, match=message):
            check_fit(model, data, seq_size)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, None),
        (("A", "B"), None),
        (("B", "A"), r"t\.mat: target 0 is A, but B in m\.pth; expected the same targets in"),
        (("A", "C"), r"t\.mat: target 1 is B, but C in m\.pth"),
    ],
)
def test_targets_of_another_order_are_refused(names, message, tmp_path):
    (tmp_path / "targets.txt").write_text("A\nB\n")
    model = SimpleNamespace(options=NetworkOptions(50, 2), path="m.pth", targets=names)
    data = SimpleNamespace(seq_size=50, num_targets=2, path=tmp_path / "t.mat")
    if message is None:
        assert check_fit(model, data, None) is None
    else:
        with pytest.raises(ValueError, match=message):
            check_fit(model, data, None)
