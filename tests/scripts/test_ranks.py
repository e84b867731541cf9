"""Several ranks by torchrun: as one process that takes their shares in turn; trouble; resuming."""

import csv
import json
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch

from tests.scripts.double_precision import double_precision
from tests.scripts.in_process import ROOT, run_script
from tests.scripts.in_shards import in_shards
from tests.scripts.rank_worker import no_dropout
from tests.scripts.trajectory_runs import RUNS

OFF = {"dropoutx": 0, "dropouth": 0, "head_dropout": 0, "layers": 2}
SMALL = {
    "darts": OFF | {"epochs": 2},
    "pdarts": OFF | {"epochs": 1, "frozen_epochs": 0, "dropout_rate": 0},
    "osp": OFF | {"pretrain_epochs": 1, "budget": 1},
    "final": OFF | {"epochs": 2, "drop_path_prob": 0},
    "ncnet_rr": {"epochs": 2, "validation": True, "batch_size": 8},
}
ABSOLUTE = 1e-9


def script_and_line(name, folder, **flags):
    folder.mkdir(exist_ok=True)
    run = RUNS[name]._replace(flags=RUNS[name].flags | SMALL[name] | flags)
    return run.script, list(map(str, run.line(folder)))


def torchrun(count, folder, *runs, dropout=False, **trouble):
    """Runs scripts on `count` ranks; gives exit code and what our scripts wrote to stderr."""
    task = folder / "task.json"
    task.write_text(json.dumps({"runs": runs, "dropout": dropout} | trouble))
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    worker = ["-m", "tests.scripts.rank_worker", str(task)]
    done = subprocess.run(
        [sys.executable, *launch, *worker],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


def plainly(count_at, run):
    with (
        double_precision(),
        no_dropout(),
        in_shards(count_at),
        mock.patch("matplotlib.figure.Figure.savefig"),
    ):
        outcome = run_script(*run)
    assert outcome.code == 0, outcome.stderr


def tensors(state):
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict | list | tuple):
        return [
            t
            for each in (state.values() if isinstance(state, dict) else state)
            for t in tensors(each)
        ]
    return []


def rows(folder):
    table = csv.DictReader((folder / "history-a.csv").read_text().splitlines())
    return [
        [float(value) for name, value in row.items() if value and name not in {"seconds", "phase"}]
        for row in table
    ]


def assert_alike(found, expected):
    """Two folders of results: figures, all state of the optimizers and networks, genotype."""
    np.testing.assert_allclose(rows(found), rows(expected), rtol=0, atol=ABSOLUTE)
    names = ["checkpoint-a.pt", *(path.name for path in expected.glob("*.pth"))]
    for name in names:
        both = [tensors(torch.load(each / name, weights_only=True)) for each in (found, expected)]
        for one, other in zip(*both, strict=True):
            if one.dtype != torch.uint8:  # random states
                torch.testing.assert_close(one, other, rtol=0, atol=ABSOLUTE)
    names = [path.name for path in expected.glob("*.npy") if not path.name.startswith("time")]
    assert names
    for name in names:
        one, other = np.load(found / name), np.load(expected / name)
        if "_geno-" in name:
            assert str(one) == str(other)
        else:
            np.testing.assert_allclose(
                one, other, rtol=0, atol=1e-6 if one.dtype == np.float32 else ABSOLUTE
            )


@pytest.fixture(scope="module", params=[2, 3])
def on_ranks(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"ranks{request.param}")
    runs = [script_and_line(name, folder / name) for name in SMALL]
    code, stderr = torchrun(request.param, folder, *runs)
    assert code == 0, stderr
    return request.param, folder


@pytest.mark.parametrize("name", list(SMALL))
def test_as_their_shares_in_turn(name, on_ranks, tmp_path):
    count, folder = on_ranks
    plainly(lambda _: count, script_and_line(name, tmp_path / name))
    assert_alike(folder / name / "run", tmp_path / name / "run")
