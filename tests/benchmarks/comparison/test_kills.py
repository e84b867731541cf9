"""A comparison of real processes, killed as hard as can be, ends as one that nobody disturbed."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generalNAS_tools.runs.command import SIGNAL_EXIT
from tests.benchmarks.comparison.comparisons import compare, line_of
from tests.scripts.in_process import ROOT
from tests.scripts.runs import Toy, result

pytestmark = pytest.mark.long

FLAGS = {"methods": "darts", "seeds": 1, "budget": 15, "final_flags": "--epochs=15"}
PATIENCE = 120


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy.make(tmp_path_factory.mktemp("toy"), num_valid=12, num_test=20)


def begin(toy, folder):
    line = [sys.executable, ROOT / "benchmarks" / "compare_searches.py"]
    line += line_of(toy, folder, **FLAGS)
    return subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def children(process):
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(number) for path in tasks for number in path.read_text().split()]


def await_history(folder, process):
    """Waits until a step has ended its first epochs."""
    end = time.monotonic() + PATIENCE
    while not (folder / "history-run.csv").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def kill(number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def results(folder):
    """All that the runs and the report hold, but times."""
    steps = sorted((folder / "runs").glob("*/seed-*/*/"))
    found = {str(path.relative_to(folder)): result(path) for path in steps}
    with (folder / "runs.csv").open() as file:
        rows = [
            {name: value for name, value in row.items() if "seconds" not in name}
            for row in csv.DictReader(file)
        ]
    return found | {"runs.csv": rows, "targets.csv": (folder / "targets.csv").read_text()}


def test_killed_comparisons_end_like_undisturbed_ones(toy, tmp_path):
    calm, hurt = tmp_path / "calm", tmp_path / "hurt"
    compare(toy, calm, **FLAGS)
    run = hurt / "runs" / "darts" / "seed-0"

    driver = begin(toy, hurt)
    await_history(run / "search", driver)
    kill(driver.pid)  # what it began goes on without it
    driver.wait()

    driver = begin(toy, hurt)
    await_history(run / "final", driver)
    for number in children(driver):
        kill(number)
    assert driver.wait(PATIENCE) == 0
    assert "0 of 1 runs are done, 1 are not" in driver.stderr.read()

    driver = begin(toy, hurt)
    assert driver.wait(PATIENCE) == 0
    assert "1 of 1 runs are done, 0 are not" in driver.stderr.read()
    assert results(hurt) == results(calm)


def test_a_signal_to_the_driver_reaches_the_runs_and_nothing_is_lost(toy, tmp_path):
    driver = begin(toy, tmp_path)
    run = tmp_path / "runs" / "darts" / "seed-0"
    await_history(run / "search", driver)
    (worker,) = children(driver)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(PATIENCE) == SIGNAL_EXIT + signal.SIGTERM
    assert not Path(f"/proc/{worker}").exists()
    assert "stopped by SIGTERM; the same command goes on from here" in driver.stderr.read()
    assert '"status": "stopped"' in (run / "run.json").read_text()


def test_two_drivers_at_a_time_are_refused(toy, tmp_path):
    driver = begin(toy, tmp_path)
    while not (tmp_path / ".compare.lock").exists():
        time.sleep(0.02)
    time.sleep(0.5)
    other = begin(toy, tmp_path)
    assert other.wait(PATIENCE) == 2
    assert "another process is running this" in other.stderr.read()
    driver.terminate()
    driver.wait()
