"""Comparisons on the toy bundle: within this process, or as real processes that can be killed."""

import importlib
import runpy
import sys
import time
from unittest import mock

from benchmarks.comparison import report
from generalNAS_tools.workers import dispatch
from generalNAS_tools.workers.local import _work
from generalNAS_tools.workers.processes import Ending
from tests.scripts.runs import command_line, run_here

SMALL = {
    "seeds": 2,
    "budget": 3,
    "budget_unit": "epochs",
    "num_steps": 2,
    "batch_size": 8,
    "init_channels": 2,
    "layers": 2,
    "calibration_steps": 1,
    "final_flags": "--epochs=2",
    "baseline_flags": "--epochs=1",
    "devices": "cpu",
    "threads": 1,
}


def line_of(toy, folder, **flags):
    """Command line of a small comparison."""
    return command_line(toy.data_flags() | SMALL | {"save_dir": folder} | flags)


class InProcess:
    """Stands in for `Processes`: runs the scripts here, which is much faster.

    Attributes:
        lines: of everything that ran.
    """

    def __init__(self):
        self.lines, self.stopping = [], False

    def run(self, line, *, threads, folder):
        folder.mkdir(parents=True, exist_ok=True)
        line = [str(word) for word in line]
        self.lines.append(line)
        start = time.monotonic()
        if line[0] == "-m":
            with mock.patch.object(sys, "argv", line[1:]):
                runpy.run_module(line[1])["main"]()
            return Ending("done", "", time.monotonic() - start)
        outcome = run_here(line[0], line[1:])
        status = {0: "done", 3: "diverged"}.get(outcome.code, "failed")
        reason = "" if status == "done" else outcome.stderr.strip()
        return Ending(status, reason, time.monotonic() - start)


def compare(toy, folder, **flags):
    """Runs a comparison in this process; gives the records and the lines of what ran."""
    module = importlib.import_module("benchmarks.compare_searches")
    processes, write, reports = InProcess(), report.write_report, []

    def one_after_the_other(tasks, **_):
        for task in tasks:
            _work(task, processes, "cpu")

    with (
        mock.patch.object(sys, "argv", ["compare", *line_of(toy, folder, **flags)]),
        mock.patch.object(dispatch, "run_here", one_after_the_other),
        mock.patch.object(report, "write_report", lambda *given: reports.append(given)),
    ):
        module.main()
    if reports:  # written here, as matplotlib keeps frames and thereby main's lock
        write(*reports[0])
    return reports[0][0] if reports else [], processes.lines
