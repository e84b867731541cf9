"""Jobs as their driver sees them; `tests/benchmarks/comparison/test_slurm.py` has a real SLURM."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from generalNAS_tools.workers import cluster
from generalNAS_tools.workers.options import ClusterOptions
from generalNAS_tools.workers.tasks import write_state

SEEN, MISSED, DOWN = "7_0 RUNNING\n", "", None


@dataclass(frozen=True)
class Sent:
    """A task that somebody else does."""

    name: str
    folder: Path


@pytest.fixture
def follow(monkeypatch, tmp_path, caplog):
    """Follows one job through what squeue answers, look by look; gives what was logged.

    What the job leaves is there at the last look.
    """
    caplog.set_level("INFO")

    def following(answers, *, leaves=None):
        task, looks = Sent("task", tmp_path), list(answers)

        def squeue(line, **_):
            answer = looks.pop(0)
            if leaves and not looks:
                write_state(task.folder, {"status": leaves})
            if answer is DOWN:
                raise subprocess.CalledProcessError(1, line, stderr="Socket timed out")
            return subprocess.CompletedProcess(line, 0, stdout=answer)

        monkeypatch.setattr(subprocess, "run", squeue)
        monkeypatch.setattr(cluster, "REFRESH", 0)
        monkeypatch.setattr(cluster, "_submit", lambda *_, **__: ["7_0"])
        options = ClusterOptions(cluster="slurm")
        cluster.run_on_slurm([task], tmp_path, options=options, workers=1, threads=1)
        assert not looks
        return caplog.text

    return following


@pytest.mark.parametrize("gap", [[MISSED], [MISSED, MISSED], [DOWN], [DOWN] * 9 + [MISSED, DOWN]])
def test_a_job_out_of_sight_for_a_moment_is_not_given_up(follow, gap):
    """SLURM forgets a job for a moment while it is requeued, and doesn't always answer."""
    looks = [MISSED, SEEN, *gap, SEEN, *gap, SEEN, MISSED]
    said = follow(looks, leaves="done")
    assert "task: done" in said
    assert "ended without a result" not in said
    assert said.count("Socket timed out; asking again") == 2 * gap.count(DOWN)


def test_a_job_that_stays_out_of_sight_has_ended(follow):
    said = follow([MISSED, SEEN, MISSED, MISSED, MISSED])
    assert "task: failed (job 7_0 ended without a result" in said


def test_a_slurm_that_never_answers_is_refused(follow):
    with pytest.raises(ValueError, match="--cluster=slurm: squeue: Socket timed out"):
        follow([DOWN])


@pytest.mark.parametrize("damaged", ["{", "[1]"])
def test_a_damaged_list_of_jobs_is_one_line_that_names_it(follow, tmp_path, damaged):
    (tmp_path / "jobs.json").write_text(damaged)
    with pytest.raises(ValueError, match=r"/jobs\.json: not the state of a run, or damaged \("):
        follow([])
