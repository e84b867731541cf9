"""Runs the scripts: in this process, or each in a process of its own that can be killed."""

import contextlib
import csv
import multiprocessing
import os
import runpy
import sys
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch

from generalNAS_tools.files.genotype_files import write_genotype
from generalNAS_tools.search_space.genotypes import Genotype
from tests.scripts.in_process import ROOT, command_line, run_script
from tests.toy_bundle import write_toy_bundle

SEARCH = "train_genomicDARTS.py"
FINAL = "generalNAS_tools/train_finalArchitecture.py"
TEST = "generalNAS_tools/test_finalArchitecture.py"
SEQ_SIZE = 16

GENOTYPE = Genotype.of(
    normal=[("max_pool_5", 0), ("skip_connect", 1), ("sep_conv_9", 0), ("skip_connect", 2)] * 2,
    reduce=[("skip_connect", 0), ("avg_pool_5", 1), ("dil_conv_9", 2), ("max_pool_5", 0)] * 2,
    rnn=[("tanh", 0), ("relu", 1), ("sigmoid", 0), ("identity", 2)] * 2,
)


class Toy(NamedTuple):
    """A tiny bundle, and a folder for what is made from it."""

    data: object
    folder: Path

    @classmethod
    def make(cls, folder, **options):
        return cls(write_toy_bundle(folder / "data", **{"seq_size": SEQ_SIZE} | options), folder)

    def data_flags(self):
        names = zip(("train", "valid", "test"), self.data, strict=True)
        return {f"{name}_directory": path for name, path in names}

    def search(self, save_dir, **flags):
        """Command line of a small search."""
        return command_line(self._small(save_dir) | {"frozen_epochs": 1} | flags)

    def sampled(self, save_dir, **flags):
        """Command line of a small search that samples."""
        return command_line(self._small(save_dir) | flags)

    def final(self, save_dir, **flags):
        """Command line of a small final training."""
        path = self.folder / "genotype.npy"
        write_genotype(path, GENOTYPE)
        return command_line(self._small(save_dir) | {"genotype_file": path} | flags)

    def test(self, save_dir, model, **flags):
        """Command line of a test."""
        own = {"save_dir": save_dir, "save": "t", "model": model, "batch_size": 6, "device": "cpu"}
        return command_line(self.data_flags() | own | flags)

    def _small(self, save_dir):
        return self.data_flags() | {
            "seq_size": SEQ_SIZE,
            "num_steps": 2,
            "batch_size": 8,
            "epochs": 3,
            "init_channels": 2,
            "layers": 2,
            "report_freq": 1,
            "save": "a",
            "save_dir": save_dir,
            "device": "cpu",
        }


def run_here(script, line, *, pictures=False):
    """Runs a script in this process and puts everything global back as it was."""
    with _pictures(pictures):
        return run_script(script, line)


@contextlib.contextmanager
def _pictures(drawn):
    """Pictures take longer than the toy runs."""
    names = ["darts_tools.alpha_history.draw_" + what for what in ("alphas", "genotype", "curves")]
    names.append("generalNAS_tools.training.final_training.draw_curves")
    names += ["generalNAS_tools.pictures.pictures.draw_" + what for what in ("genotype", "curves")]
    tools = "randomSearch_and_Hyperband_Tools"
    names += [f"{tools}.score_pictures.draw_{what}" for what in ("scores", "halving")]
    names.append(f"{tools}.removal_picture.draw_history")
    with contextlib.ExitStack() as stack:
        for name in [] if drawn else names:
            stack.enter_context(mock.patch(name))
        yield


def start(script, line):
    """Starts a script in a process of its own, forked from a fresh one that has torch loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "darts_tools.alpha_history", __name__])
    process = context.Process(target=_child, args=(script, [str(part) for part in line]))
    process.start()
    return process


def _child(script, line):
    torch.set_num_threads(1)
    sys.argv = [script, *line]
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, 2)
    with _pictures(False):
        runpy.run_path(str(ROOT / script), run_name="__main__")


def wait_for(condition, what, *, seconds=120):
    """Polls until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.002)


def log_of(folder, save="a"):
    path = Path(folder) / f"log-{save}.txt"
    return path.read_text() if path.exists() else ""


def result(folder):
    """Everything in a run's folder that must not depend on interruptions."""
    kept = {}
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith("history"):
            rows = csv.DictReader(path.read_text().splitlines())
            kept[path.name] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
        elif path.suffix in {".npy", ".pth"} and not path.name.startswith("time"):
            kept[path.name] = path.read_bytes()
    return kept


def history_length(folder):
    return len(np.load(Path(folder) / "time-a.npy", allow_pickle=False))


def leftovers(folder):
    return [path.name for path in Path(folder).rglob("*.part")]


def refusal(outcome):
    """The one line of a script that refused its input."""
    lines = outcome.stderr.splitlines()
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.stderr
    assert len(lines) == 1, outcome.stderr
    return lines[0]
