import json
from types import SimpleNamespace

import numpy as np
import pytest

from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.training.prediction_report import check_fit, write_test_report

LABELS = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], dtype=bool)
PREDICTIONS = np.array([[0.9, 0.1], [0.2, 0.3], [0.6, 0.2], [0.4, 0.2]], dtype=np.float32)


@pytest.fixture
def files(tmp_path):
    files = RunFiles(str(tmp_path / "report"), save="t", method="test")
    yield files
    files._lock.close()


SPLIT = SimpleNamespace(all_labels=lambda: LABELS)


def load(files, name):
    return np.load(files.path(name), allow_pickle=False)


def test_files_of_a_test(files):
    write_test_report(files, SPLIT, PREDICTIONS, loss=0.25)
    assert load(files, "test_loss") == 0.25
    np.testing.assert_array_equal(load(files, "labels_test"), LABELS)
    np.testing.assert_array_equal(load(files, "predictions_test"), PREDICTIONS)
    metrics = json.loads(files.path("metrics_test", "json").read_text())
    assert metrics["test_loss"] == 0.25
    assert (metrics["num_targets"], metrics["unscorable"]) == (2, [1])
    assert metrics["auroc"] == [1.0, None]


def test_both_strands_are_averaged(files):
    write_test_report(files, SPLIT, PREDICTIONS, loss=0.25, average_strands=True)
    np.testing.assert_allclose(load(files, "predictions_test"), [[0.75, 0.15], [0.3, 0.25]])
    np.testing.assert_array_equal(load(files, "labels_test"), LABELS[:2])


def test_nothing_is_written_of_wrong_predictions(files):
    wrong = PREDICTIONS.copy()
    wrong[1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        write_test_report(files, SPLIT, wrong, loss=0.25)
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
    model = SimpleNamespace(options=NetworkOptions(50, 7), path="m.pth")
    data = SimpleNamespace(seq_size=split[0], num_targets=split[1], path="t.mat")
    if message is None:
        assert check_fit(model, data, seq_size) is None
    else:
        with pytest.raises(ValueError, match=message):
            check_fit(model, data, seq_size)
