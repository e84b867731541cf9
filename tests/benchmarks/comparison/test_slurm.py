"""A comparison on a real SLURM: jobs cancelled and requeued, the driver gone; skips without one."""

import importlib.util
import os
import subprocess
import sys
import time

import pytest

from tests.benchmarks.comparison import slurm_node
from tests.benchmarks.comparison.comparisons import compare, line_of
from tests.benchmarks.comparison.test_kills import PATIENCE, kill, results
from tests.scripts.in_process import ROOT
from tests.scripts.runs import Toy, run_here
from tests.scripts.sampling_cases import FLAGS as FLAGS_OF_SEARCHES
from tests.scripts.sampling_cases import RANDOM, outcome

REASON = slurm_node.missing() or (
    "" if importlib.util.find_spec("submitit") else "no submitit"
)  # fmt: skip
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(REASON), reason=f"no SLURM can be started: {REASON}"),
]
FLAGS = {"methods": "darts,random_average", "seeds": 1, "budget": 15, "final_flags": "--epochs=15"}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with slurm_node.one_node(tmp_path_factory.mktemp("slurm")) as variables:
        yield variables


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy.make(tmp_path_factory.mktemp("toy"), num_valid=12, num_test=20)


def begin(node, toy, folder, **flags):
    slurm = {
        "cluster": "slurm",
        "partition": "main",
        "minutes": 10,
        "sbatch": "requeue,comment=compare",
    }
    line = [sys.executable, ROOT / "benchmarks" / "compare_searches.py"]
    line += line_of(toy, folder, **FLAGS | slurm | flags)
    said = (folder / "said.txt").open("a")
    return subprocess.Popen(line, cwd=folder, env=os.environ | node, stderr=said, text=True)


def wait_for(condition, driver, folder):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert driver.poll() is None, (folder / "said.txt").read_text()
        assert time.monotonic() < end, (folder / "said.txt").read_text()
        time.sleep(0.1)
    return found


def running(folder):
    """Numbers of the jobs that run, if any, once a search has ended its first epochs."""
    if not list((folder / "runs").glob("darts/seed-0/search/history-run.csv")):
        return []
    return slurm_node.tell("squeue", "-h", "-r", "-t", "R", "-o", "%i").split()


def hurry(job, driver, folder):
    """SLURM lets a requeued job wait for two minutes; this one starts soon.

    Not in the second it was killed: a node refuses what was allowed no later than its last kill.
    """

    def told():
        state = slurm_node.tell("squeue", "-h", "-r", "-j", job, "-o", "%T", check=False).strip()
        return state == "PENDING"

    wait_for(told, driver, folder)
    slurm_node.tell("scontrol", "update", f"jobid={job}", "starttime=now+2")


def test_a_comparison_on_slurm_ends_like_one_here(node, toy, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    compare(toy, here, **FLAGS)
    there.mkdir()

    driver = begin(node, toy, there)
    jobs = wait_for(lambda: running(there), driver, there)
    kill(driver.pid)  # its jobs do without it
    driver.wait()
    slurm_node.tell("scontrol", "requeue", jobs[0])
    driver = begin(node, toy, there)  # picks up what it finds
    hurry(jobs[0], driver, there)
    assert driver.wait(3 * PATIENCE) == 0, (there / "said.txt").read_text()
    said = (there / "said.txt").read_text()
    assert "2 of 2 runs are done, 0 are not" in said
    assert results(there) == results(here)


def test_a_job_out_of_time_saves_and_is_sent_again(node, toy, tmp_path):
    long = {"methods": "darts", "budget": 30}
    log = tmp_path / "runs" / "darts" / "seed-0" / "search" / "log-run.txt"
    driver = begin(node, toy, tmp_path, **long)
    (job,) = wait_for(lambda: log.exists() and running(tmp_path), driver, tmp_path)
    slurm_node.tell("scancel", "--signal=USR2", job)  # what SLURM sends before the limit
    hurry(job, driver, tmp_path)
    assert driver.wait(3 * PATIENCE) == 0
    assert "1 of 1 runs are done, 0 are not" in (tmp_path / "said.txt").read_text()
    assert log.read_text().count("stopped by SIGTERM") == 1
    assert log.read_text().count("continuing at epoch") == 1


def test_a_cancelled_job_is_counted_and_sent_again(node, toy, tmp_path):
    only = {"methods": "darts", "budget": 30}
    driver = begin(node, toy, tmp_path, **only)
    (job,) = wait_for(lambda: running(tmp_path), driver, tmp_path)
    slurm_node.tell("scancel", job)
    assert driver.wait(PATIENCE) == 0
    said = (tmp_path / "said.txt").read_text()
    assert f"job {job} ended without a result" in said
    assert "0 of 1 runs are done, 1 are not" in said
    driver = begin(node, toy, tmp_path, **only)
    assert driver.wait(3 * PATIENCE) == 0
    assert "1 of 1 runs are done, 0 are not" in (tmp_path / "said.txt").read_text()


def test_candidates_trained_on_slurm_are_those_trained_here(node, toy, tmp_path):
    """The search is killed and started again, and a job of its candidates requeued."""
    flags = FLAGS_OF_SEARCHES[RANDOM] | {"epochs": 4}
    assert run_here(RANDOM, toy.sampled(tmp_path / "here", **flags)).code == 0
    there = tmp_path / "there"
    line = [sys.executable, ROOT / RANDOM, *toy.sampled(there, **flags)]
    line += ["--cluster=slurm", "--partition=main", "--minutes=10", "--sbatch=requeue"]
    line += ["--threads=1", "--workers=2"]

    def search():
        said = (tmp_path / "said.txt").open("a")
        return subprocess.Popen(line, cwd=ROOT, env=os.environ | node, stderr=said, text=True)

    def jobs():
        begun = list(there.glob("candidates-a/*/history-run.csv"))
        return begun and slurm_node.tell("squeue", "-h", "-r", "-t", "R", "-o", "%i").split()

    driver = search()
    first = wait_for(jobs, driver, tmp_path)[0]
    kill(driver.pid)
    driver.wait()
    slurm_node.tell("scontrol", "requeue", first)
    driver = search()
    hurry(first, driver, tmp_path)
    assert driver.wait(3 * PATIENCE) == 0, (tmp_path / "said.txt").read_text()
    assert outcome(there) == outcome(tmp_path / "here")


def test_options_that_slurm_refuses_are_one_line(node, toy, tmp_path):
    driver = begin(node, toy, tmp_path, partition="nowhere")
    assert driver.wait(PATIENCE) == 2
    last = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert last.startswith("--cluster=slurm: ")
    assert "partition" in last
