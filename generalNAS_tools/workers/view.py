"""The live view of tasks: what runs, what is done, what failed, and the time left."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.runs.run_log import duration
from generalNAS_tools.workers.tasks import Task, read_history, read_state

log = logging.getLogger(__name__)

REFRESH = 5.0
"""Seconds between two looks at what the runs do."""


class View:
    """A line for everything that begins or ends; on a terminal also a bar that tells what runs.

    Args:
        tasks: all that there is to do.
        workers: tasks at a time.
    """

    def __init__(self, tasks: Sequence[Task], workers: int) -> None:
        self._left, self._workers = len(tasks), workers
        self._started: dict[str, float] = {}
        self._running: dict[str, Task] = {}
        self._seconds: list[float] = []
        self._counts: dict[str, int] = {}
        self._bar = progress_bar(total=len(tasks), desc="runs", leave=False)

    def begin(self, task: Task) -> None:
        """A task began."""
        if task.name not in self._running:
            self._running[task.name] = task
            self._started[task.name] = time.monotonic()
            log.info("%s: begins", task.name)

    def end(self, task: Task, state: dict[str, Any]) -> None:
        """A task ended, well or not."""
        self._running.pop(task.name, None)
        seconds = time.monotonic() - self._started.pop(task.name, time.monotonic())
        self._seconds.append(seconds)
        self._left -= 1
        status = state.get("status", "missing")
        self._counts[status] = self._counts.get(status, 0) + 1
        reason = f" ({state['reason']})" if state.get("reason") else ""
        counts = ", ".join(f"{number} {name}" for name, number in self._counts.items())
        left = sum(self._seconds) / len(self._seconds) * self._left / self._workers
        log.info(
            "%s: %s%s in %s; %s, %d to go, about %s left",
            *(task.name, status, reason, duration(seconds), counts, self._left, duration(left)),
        )
        self._bar.update()

    def show(self) -> None:
        """Tells on the bar what runs."""
        self._bar.set_postfix_str("; ".join(map(_position, list(self._running.values()))))

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()


def _position(task: Task) -> str:
    try:
        step = read_state(task.folder).get("reason", "")
        return f"{task.name} {step} epoch {len(read_history(task.folder / step)) + 1}"
    except ValueError:  # a damaged file, of which whoever needs it will tell
        return task.name
