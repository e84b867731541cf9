"""Several ranks by torchrun: as one process that takes their shares in turn; trouble; resuming."""

import functools
import json
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch

from generalNAS_tools.files.checkpoints import load_weights
from tests.scripts.double_precision import double_precision
from tests.scripts.in_process import ROOT, run_script
from tests.scripts.in_shards import in_shards
from tests.scripts.rank_worker import no_dropout
from tests.scripts.runs import history_length, result
from tests.scripts.trajectories import differences, nested_tensors, tables
from tests.scripts.trajectory_runs import RUNS

pytestmark = pytest.mark.long

NO_DROPOUT = {"dropoutx": 0, "dropouth": 0, "head_dropout": 0}
SMALL = NO_DROPOUT | {"layers": 2, "seq_size": 12, "epochs": 1}
RANKED = {
    "darts": SMALL | {"frozen_epochs": 0},
    "darts_unrolled": SMALL | {"frozen_epochs": 0, "num_steps": 1},
    "pdarts": SMALL | {"frozen_epochs": 0, "dropout_rate": 0, "num_steps": 1},
    "osp": SMALL | {"num_init_archs": 12, "num_ops": 7, "pretrain_epochs": 1, "budget": 1},
    "final": SMALL | {"epochs": 2, "drop_path_prob": 0},
    "ncnet_rr": {"epochs": 1, "validation": True, "batch_size": 8},
}
COUNTS = dict.fromkeys(RANKED, (2, 3)) | {"darts_unrolled": (2,)}
"""On how many ranks each is tried."""
DROPOUT = {"dropoutx": 0.2, "dropouth": 0.2, "drop_path_prob": 0.3}
LOST = "another rank has left or died; the same command goes on from the last checkpoint"


def script_and_line(name, folder, **flags):
    folder.mkdir(exist_ok=True)
    flags = RUNS[name].flags | RANKED[name] | flags
    run = RUNS[name]._replace(flags=flags, bundle={"num_valid": 12})
    return run.script, list(map(str, run.line(folder)))


def torchrun(count, folder, *runs, **trouble):
    """Runs scripts on `count` ranks; gives exit code and standard error."""
    task = folder / "task.json"
    task.write_text(json.dumps({"runs": runs} | trouble))
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "tests.scripts.rank_worker", str(task)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


def in_turn(count_at, run):
    """Runs a script in this process, whose weight steps take as many shares as `count_at` says."""
    with (
        double_precision(),
        no_dropout(),
        in_shards(count_at),
        mock.patch("matplotlib.figure.Figure.savefig"),
    ):
        outcome = run_script(*run)
    assert outcome.code == 0, outcome.stderr


def assert_alike(found, expected):
    """Two folders of results: figures, all state of networks and optimizers, genotype, tests."""
    for path in [expected / "checkpoint-a.pt", *expected.glob("*.pth")]:
        states = (load_weights(each / path.name) for each in (found, expected))
        one, other = (list(nested_tensors(state.get("objects", state))) for state in states)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    for path in expected.glob("*.npy"):
        one, other = np.load(found / path.name), np.load(path)
        if one.dtype.kind == "U":
            assert str(one) == str(other)
        elif not path.name.startswith("time"):
            absolute = 1e-7 if one.dtype == np.float32 else 1e-9
            np.testing.assert_allclose(one, other, rtol=0, atol=absolute)
    assert not differences(*map(tables, (expected, found)))


@pytest.fixture(scope="module")
def on_ranks(tmp_path_factory):
    """By the number of ranks: the folder of their runs."""

    @functools.cache
    def folder_of(count):
        folder = tmp_path_factory.mktemp(f"ranks{count}")
        names = [name for name, counts in COUNTS.items() if count in counts]
        runs = [script_and_line(name, folder / name) for name in names]
        runs.append(script_and_line("final", folder / "dropout", **DROPOUT))
        code, stderr = torchrun(count, folder, *runs)
        assert code == 0, stderr
        return folder

    return folder_of


@pytest.mark.parametrize(
    ("name", "count"), [(name, count) for name, counts in COUNTS.items() for count in counts]
)
def test_as_their_shares_in_turn(name, count, on_ranks, tmp_path):
    in_turn(lambda _: count, script_and_line(name, tmp_path / name))
    assert_alike(on_ranks(count) / name / "run", tmp_path / name / "run")


def test_a_killed_rank_ends_the_others_and_fewer_go_on(tmp_path):
    run, files = script_and_line("final", tmp_path / "ranks"), tmp_path / "ranks" / "run"
    code, stderr = torchrun(3, tmp_path, run, trouble="kill", rank=1, step=4)
    assert code != 0
    assert stderr.count(LOST) == 1, stderr
    assert history_length(files) == 1
    code, stderr = torchrun(2, tmp_path, run)
    assert code == 0, stderr
    in_turn(lambda step: 3 if step < 2 else 2, script_and_line("final", tmp_path / "plain"))
    assert_alike(files, tmp_path / "plain" / "run")


def test_a_signal_to_any_rank_stops_all_at_the_same_step(on_ranks, tmp_path):
    run, files = script_and_line("final", tmp_path, **DROPOUT), tmp_path / "run"
    code, stderr = torchrun(2, tmp_path, run, trouble="stop", rank=1, step=3)
    assert code != 0
    assert stderr.count("stopped by SIGTERM; the same command goes on from here") == 1, stderr
    assert load_weights(files / "checkpoint-a.pt")["partial"]["step"] == 1
    assert torchrun(2, tmp_path, run)[0] == 0
    undisturbed = [result(on_ranks(2) / name / "run") for name in ("dropout", "final")]
    assert result(files) == undisturbed[0] != undisturbed[1]


def test_ranks_that_part_are_noticed(tmp_path):
    run = script_and_line("final", tmp_path / "ranks")
    code, stderr = torchrun(2, tmp_path, run, trouble="spoil", rank=1, step=2)
    assert code != 0
    assert stderr.count("the state of the network differs between the ranks") == 1, stderr
    assert not (tmp_path / "ranks" / "run" / "checkpoint-a.pt").exists()


@pytest.mark.parametrize(
    ("trouble", "line"),
    [("full", "there: No space left on device"), ("ours", "KeyError: 'a fault'")],
)
def test_a_rank_that_fails_alone_ends_the_others(trouble, line, tmp_path):
    """At once, though the end of NCCL's communication waits for all ranks."""
    code, stderr = torchrun(
        2, tmp_path, script_and_line("final", tmp_path), trouble=trouble, rank=0, step=2
    )
    assert code != 0
    assert stderr.count(line) == 1, stderr


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
@pytest.mark.parametrize("trouble", [{}, {"trouble": "ours", "rank": 0, "step": 2}])
def test_two_cards_share_a_run_and_its_end(trouble, tmp_path):
    """By NCCL."""
    run = script_and_line("final", tmp_path, device="cuda")
    code, stderr = torchrun(2, tmp_path, run, **trouble)
    assert (code == 0) == (not trouble), stderr
