"""A damaged file of a run is one line that names it, whatever reads it."""

import json
import shutil

import numpy as np
import pytest

from benchmarks.comparison.collect import record_of
from benchmarks.comparison.one_run import Run

HISTORY = "epoch,iteration,valid_loss,valid_auroc,valid_auprc,seconds\n1,0,0.5,0.6,0.2,3\n"
METRICS = {"test_loss": 0.5, "auroc": [0.6], "auprc": [0.2]} | {
    "summary": {f"{kind}_{name}": 0.5 for kind in ("mean", "median") for name in ("auroc", "auprc")}
}
MEASURED = {"parameters": 3, "multiply_adds": 4, "inference_seconds": 0.1}
ENTRY = {"iteration": 0, "seconds": 2, "auprc": 0.3}
FILES = {
    "run.json": json.dumps({"status": "done"}),
    "search/history-run.csv": HISTORY,
    "search/archive-run.jsonl": json.dumps(ENTRY) + "\n",
    "final/history-run.csv": HISTORY,
    "test/metrics_test-run.json": json.dumps(METRICS),
    "measure/measured.json": json.dumps(MEASURED),
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "seed-0"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    np.save(folder / "test" / "labels_test-run.npy", np.ones((2, 1), np.uint8))
    return Run(arm="bonas", kind="search", seed=0, folder=folder, data={}, frame={}, more={},
               threads=1, device_kind="")  # fmt: skip


def test_a_whole_run_is_read(run):
    record = record_of(run, {})
    assert (record.parameters, record.valid_auprc, record.test_auroc) == (3, 0.2, 0.5)
    assert record.targets[0]["positives"] == 2
    assert record.anytime == ((5.0, 0.3),)
    shutil.rmtree(run.folder)
    assert record_of(run, {}).status == "missing"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", ""), ("run.json", "[]"), ("run.json", "null"),
        ("search/history-run.csv", HISTORY.replace("seconds", "minutes")),
        ("search/history-run.csv", HISTORY.replace("iteration", "round")),
        ("search/history-run.csv", HISTORY + "2,0,0.5\n"),
        ("search/archive-run.jsonl", "{}\n"), ("search/archive-run.jsonl", "[]\n"),
        ("final/history-run.csv", HISTORY.replace("0.5,", "low,")),
        ("test/metrics_test-run.json", "{}"), ("test/metrics_test-run.json", "[]"),
        ("test/labels_test-run.npy", ""),
        ("measure/measured.json", "{}"), ("measure/measured.json", "{"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(run, name, text):
    (run.folder / name).write_text(text)
    with pytest.raises(ValueError, match=f"^{run.folder / name}: not .*, or damaged"):
        record_of(run, {})
