"""Random search and Hyperband with --workers end like those that train every candidate themselves.

Most tests run the workers' processes here, one after the other; one runs and kills real ones.
"""

import csv
import math
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from generalNAS_tools.files import ranks
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.workers import dispatch
from generalNAS_tools.workers.processes import Ending
from tests.scripts.in_process import ROOT, run_script
from tests.scripts.runs import refusal, run_here, wait_for
from tests.scripts.sampling_cases import FLAGS, HYPERBAND, RANDOM, outcome, table
from tests.scripts.test_sampling_interruptions import killed_again_and_again, results_of

SCRIPTS = [RANDOM, HYPERBAND]
WORKERS = ["--workers=2", "--threads=1"]


class InProcess:
    """Stands in for `Processes`: runs a candidate's process here.

    Attributes:
        ran: (candidate, epochs of the search before it) of every process.
        broken: candidates whose process fails.
    """

    def __init__(self):
        self.ran, self.broken = [], set()

    def run(self, line, *, threads, folder):
        flags = dict(word[2:].split("=", 1) for word in line[2:])
        number = int(flags["candidate"]) + 1
        self.ran.append((number, int(flags["begin"])))
        if number in self.broken:
            return Ending("failed", "exit code 2: no memory", 0.0)
        outcome = run_script(line[1].replace(".", "/") + ".py", line[2:])
        status = {0: "done", 3: "diverged"}.get(outcome.code, "failed")
        return Ending(status, "" if status == "done" else outcome.stderr.strip(), 0.0)


@pytest.fixture
def processes(monkeypatch):
    here = InProcess()

    def one_after_the_other(tasks, *, devices, workers):
        for task in tasks:
            task.work(here, devices[0])

    monkeypatch.setattr(dispatch, "run_here", one_after_the_other)
    return here


@pytest.fixture(scope="module")
def alone(toy):
    """Results of searches that train every candidate themselves."""
    return results_of(SCRIPTS, toy, outcome)


def diverge(monkeypatch, numbers, *, epoch):
    """Makes candidates' losses infinite in one of their epochs, counted from 0."""
    original = RunDirectory.check_finite

    def check(run, row):
        broken = row["candidate"] in numbers and run.place["epoch"] == epoch
        original(run, row | ({"train_loss": math.inf} if broken else {}))

    monkeypatch.setattr(RunDirectory, "check_finite", check)


@pytest.mark.parametrize("script", SCRIPTS)
def test_workers_change_nothing(script, toy, tmp_path, alone, processes):
    line = [*toy.sampled(tmp_path, **FLAGS[script]), *WORKERS]
    assert run_here(script, line).code == 0
    assert outcome(tmp_path) == alone[script]
    before = list(processes.ran)
    assert before[:3] == [(1, 0), (2, 2), (3, 4)] if script == RANDOM else len(before) == 5 + 2 + 1
    assert run_here(script, line).code == 0  # all is done
    assert processes.ran == before
    assert outcome(tmp_path) == alone[script]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_event(script, seed, toy, tmp_path, alone, processes):
    """Whoever goes on: with workers, or without."""
    moments, line = random.Random(f"{script} {seed}"), toy.sampled(tmp_path, **FLAGS[script])

    def run():
        workers = WORKERS if moments.random() < 0.7 else []
        assert run_here(script, [*line, *workers]).code == 0

    assert killed_again_and_again(moments, 8, 40, run) >= 2
    assert outcome(tmp_path) == alone[script]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_candidate_that_diverges_moves_those_behind_it(
    script, toy, tmp_path, monkeypatch, processes
):
    """The order of their sequences depends on the epochs that the search had before."""
    diverge(monkeypatch, {2, 3}, epoch=1)
    line = toy.sampled(tmp_path / "alone", **FLAGS[script])
    assert run_here(script, line).code == 0
    ended = run_here(script, [*toy.sampled(tmp_path / "others", **FLAGS[script]), *WORKERS])
    assert ended.code == 0
    assert outcome(tmp_path / "others") == outcome(tmp_path / "alone")
    if script == RANDOM:
        assert "candidate 2 is out: exit code" not in ended.stderr
        assert processes.ran == [(1, 0), (2, 2), (3, 4), (3, 3)]


def test_a_candidate_that_diverges_at_once_leaves_no_trace(toy, tmp_path, monkeypatch, processes):
    diverge(monkeypatch, {1}, epoch=0)
    for folder, workers in (("alone", []), ("others", WORKERS)):
        line = toy.sampled(tmp_path / folder, **FLAGS[HYPERBAND])
        assert run_here(HYPERBAND, [*line, *workers]).code == 0
    assert outcome(tmp_path / "others") == outcome(tmp_path / "alone")


def test_a_candidate_that_fails_leaves_the_others(toy, tmp_path, alone, processes):
    line = [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *WORKERS]
    processes.broken = {2}
    assert run_here(RANDOM, line).stderr.splitlines()[-1] == (
        "candidate 2: exit code 2: no memory; the same command goes on"
    )
    processes.broken = set()
    assert run_here(RANDOM, line).code == 0
    assert [number for number, _ in processes.ran] == [1, 2, 3, 2]
    assert outcome(tmp_path) == alone[RANDOM]


def test_a_restart_trains_all_anew(toy, tmp_path, alone, processes):
    line = [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *WORKERS]
    assert run_here(RANDOM, line).code == 0
    assert run_here(RANDOM, [*line, "--restart"]).code == 0
    assert [number for number, _ in processes.ran] == [1, 2, 3, 1, 2, 3]
    assert outcome(tmp_path) == alone[RANDOM]


def test_work_for_another_command_is_not_taken(toy, tmp_path, alone, processes):
    """A search killed before its first checkpoint, and given other flags."""
    other = toy.sampled(tmp_path, **FLAGS[RANDOM] | {"seed": 1})
    processes.broken = {3}
    assert run_here(RANDOM, [*other, *WORKERS]).code == 2
    processes.broken = set()
    assert run_here(RANDOM, [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *WORKERS]).code == 0
    assert outcome(tmp_path) == alone[RANDOM]


def test_the_board_has_what_the_workers_did(toy, tmp_path, processes):
    from tests.scripts.test_tensorboard import scalars

    line = [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *WORKERS, "--tensorboard"]
    assert run_here(RANDOM, line).code == 0
    steps = [step for step, _ in scalars(tmp_path)["train_loss"]]
    assert steps == [int(row["epoch"]) for row in table(tmp_path, "history")]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workers=2", "--devices=tpu"], "--devices tpu: expected cpu, cuda"),
        (["--workers=0"], "--workers: '0' is not a whole number ≥ 1"),
        (["--partition=gpu"], "--partition gpu: expected --cluster=slurm beside it"),
        (["--cluster=pbs"], "--cluster: invalid choice: 'pbs'"),
    ],
)
def test_workers_that_cannot_be_are_one_line(flags, message, toy, tmp_path):
    assert message in refusal(run_here(RANDOM, [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *flags]))


def test_ranks_and_workers_at_a_time_are_refused(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(ranks, "check_shares", lambda size: None)
    ended = run_here(RANDOM, [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *WORKERS])
    assert ended.code == 2
    assert "expected no ranks of torchrun" in ended.stderr


def begin(line, said):
    command = [sys.executable, RANDOM, *line]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=said.open("a"))


def workers_of(process):
    listed = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True
    )
    return [int(number) for number in listed.stdout.split()]


@pytest.mark.long
def test_real_workers_and_their_search_are_killed(toy, tmp_path, alone):
    line, said = [*toy.sampled(tmp_path, **FLAGS[RANDOM]), *WORKERS], tmp_path.parent / "said.txt"
    search = begin(line, said)

    def begun():
        assert search.poll() is None, said.read_text()
        return list(tmp_path.glob("candidates-a/*/history-run.csv"))

    wait_for(begun, "a candidate's first epoch")
    for number in [*workers_of(search)[:1], search.pid]:
        os.kill(number, signal.SIGKILL)
    search.wait()
    time.sleep(0.2)  # the other one goes on by itself
    assert begin(line, said).wait(120) == 0, said.read_text()
    assert outcome(tmp_path) == alone[RANDOM]
    for folder in tmp_path.glob("candidates-a/*-epoch-*"):
        with (folder / "history-run.csv").open() as file:
            assert len(list(csv.DictReader(file))) == 2
