"""Runs tasks as jobs of SLURM, through submitit.

The jobs do without the driver: it may leave, and the same command picks up what it finds. What a
job did lies in its folder alone; jobs.json only remembers who was sent.
"""

import collections
import logging
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generalNAS_tools.workers.options import ClusterOptions
from generalNAS_tools.workers.processes import ROOT, Processes
from generalNAS_tools.workers.tasks import Task, read_state, write_state
from generalNAS_tools.workers.view import REFRESH, View

log = logging.getLogger(__name__)

JOBS = "jobs.json"
ENDED = {"done", "failed", "diverged"}
_SAVING = 60.0
"""Seconds that a process has to save itself; SLURM warns a job 90 s before its time is up."""
_REQUEUES = 10_000
"""How often a job may go on after its time limit."""
_LOOKS = 3
"""How many looks in a row must miss a job that left no result before it counts as ended: a busy
SLURM loses sight of one that is being requeued."""


class Job:
    """A task as submitit runs it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._processes: Processes | None = None

    def __call__(self) -> None:
        """Does what is left of the task."""
        self._processes = Processes(apart=False)  # SLURM sends SIGTERM to all that belong to it
        self.task.work(self._processes, "auto")

    def checkpoint(self) -> Any:
        """Called before the time limit and at preemption: saves, and asks to be sent again."""
        import submitit

        if self._processes is not None:
            self._processes.stop()
            self._processes.await_saved(_SAVING)
        return submitit.helpers.DelayedSubmission(Job(self.task))


def run_on_slurm(
    tasks: Sequence[Task], folder: Path, *, options: ClusterOptions, workers: int, threads: int
) -> None:
    """Sends tasks to SLURM and waits for them; one that fails leaves the others alone.

    Args:
        tasks: each in its own folder, which every node sees.
        folder: of what the tasks belong to.
        options: of the jobs.
        workers: jobs at a time.
        threads: CPUs of a job.

    Raises:
        ValueError: submitit or SLURM is missing, SLURM refuses the jobs, or jobs.json is damaged.
    """
    sent, view = read_state(folder, JOBS), View(tasks, workers)
    alive = _queue()
    waiting = [task for task in tasks if sent.get(str(task.folder)) not in alive]
    # What an earlier job left must not be taken for the end of the one sent now.
    before = {task.name: _stamp(task) for task in waiting}
    if waiting:
        jobs = _submit(waiting, folder, options=options, workers=workers, threads=threads)
        sent |= {str(task.folder): job for task, job in zip(waiting, jobs, strict=True)}
        write_state(folder, sent, JOBS)
    pending, missed = {task.name: task for task in tasks}, collections.Counter[str]()
    while pending:
        alive = _await_queue()
        for task in list(pending.values()):
            state, fresh = read_state(task.folder), _stamp(task) != before.get(task.name)
            job = sent[str(task.folder)]
            missed[task.name] = 0 if job in alive else missed[task.name] + 1
            if alive.get(job) == "RUNNING":
                view.begin(task)
            if fresh and state.get("status") in ENDED and job not in alive:
                view.end(pending.pop(task.name), state)
            elif missed[task.name] >= _LOOKS:
                reason = f"job {job} ended without a result; the same command sends it again"
                view.end(pending.pop(task.name), {"status": "failed", "reason": reason})
        view.show()
        time.sleep(REFRESH if pending else 0)
    view.close()


def _submit(
    tasks: Sequence[Task], folder: Path, *, options: ClusterOptions, workers: int, threads: int
) -> list[str]:
    """Sends the tasks as one array and gives the number of each job."""
    try:
        import submitit
    except ImportError as error:
        raise ValueError("--cluster=slurm needs submitit: pip install submitit") from error
    chosen: dict[str, Any] = {"slurm_additional_parameters": options.more()}
    if options.partition:
        chosen["slurm_partition"] = options.partition
    if options.gpus:
        chosen["gpus_per_node"] = options.gpus
    try:
        executor = submitit.AutoExecutor(
            folder / "slurm", cluster="slurm", slurm_max_num_timeout=_REQUEUES
        )
        executor.update_parameters(
            name="genomeNAS",
            timeout_min=options.minutes,
            cpus_per_task=threads,
            slurm_array_parallelism=workers,
            slurm_setup=[f"export PYTHONPATH={shlex.quote(str(ROOT))}:$PYTHONPATH"],
            **chosen,
        )
        with executor.batch():
            jobs = [executor.submit(Job(task)) for task in tasks]
    except (RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise ValueError(f"--cluster=slurm: {' '.join(f'{error}'.split())[:300]}") from error
    return [str(job.job_id) for job in jobs]


def _queue() -> dict[str, str]:
    """The state of every job that SLURM knows to be waiting or running, by its number."""
    line = ["squeue", "--noheader", "--array", "--format=%i %T"]
    try:
        told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise ValueError("--cluster=slurm: there is no squeue here") from error
    except subprocess.CalledProcessError as error:
        raise ValueError(f"--cluster=slurm: squeue: {' '.join(error.stderr.split())}") from error
    return dict(text.split(maxsplit=1) for text in told.splitlines())


def _await_queue() -> dict[str, str]:
    """As `_queue`; a SLURM that doesn't answer for a while is asked again."""
    while True:
        try:
            return _queue()
        except ValueError as error:
            log.warning("%s; asking again", error)
            time.sleep(REFRESH)


def _stamp(task: Task) -> int:
    path = task.folder / "run.json"
    return path.stat().st_mtime_ns if path.exists() else 0
