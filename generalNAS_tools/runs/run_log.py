"""The log of a run: lines that don't tear the progress bar, and the time left.

`tqdm.contrib.logging` redirects the log of a block; ours is that of a whole process.
"""

import datetime
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from generalNAS_tools.files import ranks
from generalNAS_tools.files.progress import STDERR

FORMAT = "%(asctime)s %(message)s"
_LONGEST = datetime.timedelta.max // datetime.timedelta(seconds=1)


class _BarHandler(logging.Handler):
    """Writes to stderr above a running progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        tqdm.write(self.format(record), file=STDERR)


def open_log(path: Path | None) -> None:
    """Sends the log to a file, if one is given, and to stderr; replaces earlier handlers.

    Raises:
        ValueError: the file can't be written.
    """
    handlers: list[logging.Handler] = [_BarHandler()]
    if path is not None and ranks.number() == 0:
        try:
            handlers.insert(0, logging.FileHandler(path, encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror or error}") from error
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT, "%Y-%m-%d %H:%M:%S"))
    logging.raiseExceptions = False  # a full disk: the checkpoint says so, once, in one line
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


class Clock:
    """Measures epochs and tells how long the rest will take.

    Args:
        seconds: what an interrupted epoch had taken before.

    Attributes:
        total_epochs: epochs of the whole run, if the script told.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.total_epochs: int | None = None
        self._start = time.monotonic() - seconds
        self._recent: list[float] = []

    def epoch_seconds(self) -> float:
        """Seconds since the epoch began, interruptions left out."""
        return time.monotonic() - self._start

    def start_epoch(self) -> None:
        """An epoch begins."""
        self._start = time.monotonic()

    def step_line(self, epoch: int, step: int, steps: int, *, loss: float) -> str:
        """One line on the epoch so far."""
        seconds = self.epoch_seconds()
        left = duration(seconds / step * (steps - step))
        return (
            f"epoch {epoch}  step {step}/{steps}  train_loss {loss:.4f}  "
            f"{step / seconds:.2f} steps/s  about {left} to the end of the epoch"
        )

    def line(self, history: Sequence[Mapping[str, Any]]) -> str:
        """One line on the epoch just ended; starts the next one."""
        row = history[-1]
        self.start_epoch()
        self._recent = [*self._recent[-4:], row["seconds"]]
        of_total = f"/{self.total_epochs}" if self.total_epochs else ""
        figures = [
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in row.items()
            if name not in {"epoch", "seconds"} and value is not None
        ]
        parts = [f"epoch {row['epoch']}{of_total}", *figures, f"{row['seconds']:.1f} s"]
        if self.total_epochs and self.total_epochs > len(history):
            left = (self.total_epochs - len(history)) * sum(self._recent) / len(self._recent)
            parts.append(f"about {duration(left)} left")
        return "  ".join(parts)


def duration(seconds: float) -> str:
    """Days, hours, minutes and seconds, as 1 day, 2:03:04."""
    return str(datetime.timedelta(seconds=min(round(seconds), _LONGEST)))
