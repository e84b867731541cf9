"""Runs tasks on this machine, several at a time."""

import contextlib
import logging
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from generalNAS_tools.runs.signals import Stopped, on_stop, stop_at_once
from generalNAS_tools.workers.processes import Processes
from generalNAS_tools.workers.tasks import Task, read_state, write_state
from generalNAS_tools.workers.view import REFRESH, View

log = logging.getLogger(__name__)


def run_here(tasks: Sequence[Task], *, devices: Sequence[str], workers: int) -> None:
    """Does all tasks; one that fails leaves the others alone.

    Args:
        tasks: each in its own folder.
        devices: shared by the workers in turn.
        workers: tasks at a time.

    Raises:
        Stopped: by a signal, after the processes have saved.
    """
    workers = min(workers, len(tasks))
    processes, view = Processes(), View(tasks, workers)
    slots: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in range(workers):
        slots.put(devices[number % len(devices)])

    def one(task: Task) -> None:
        device = slots.get()
        try:
            if not processes.stopping:
                view.begin(task)
                _work(task, processes, device)
                view.end(task, read_state(task.folder))
        finally:
            slots.put(device)

    with _stopped_by_signals(processes), ThreadPoolExecutor(workers) as pool:
        pending = {pool.submit(one, task) for task in tasks}
        while pending:
            done, pending = wait(pending, REFRESH, FIRST_COMPLETED)
            for future in done:
                future.result()
            view.show()
        view.close()


def _work(task: Task, processes: Processes, device: str) -> None:
    """Does a task; what is wrong with its folder or device is its own failure."""
    try:
        task.work(processes, device)
    except (ValueError, OSError) as error:
        reason = " ".join(f"{error}".split())
        write_state(task.folder, {"status": "failed", "reason": reason})


@contextlib.contextmanager
def _stopped_by_signals(processes: Processes) -> Iterator[None]:
    """Lets the processes save at a signal, and leaves once they have."""
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        processes.stop()

    on_stop(stop)
    try:
        yield
    finally:
        on_stop(stop_at_once)
    if caught:
        raise Stopped(caught[0])
