"""Our own scripts as processes: their command lines, and how they end."""

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from generalNAS_tools.files.atomic_files import lock_file
from generalNAS_tools.runs.command import DIVERGED, SIGNAL_EXIT

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
SAVE = "run"
"""Name of every run within its folder."""
_WAIT = 0.5
_ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=127"}
"""Huge pages where the kernel leaves them to programs ("madvise"; glibc 2.35 or newer), and more
freed memory of each size at hand: steps of small networks take 4 to 9 % less with both. Read as a
process starts."""


class Ending(NamedTuple):
    """How a process ended.

    Attributes:
        status: "done", "failed", "diverged" or "stopped" (by a signal; it goes on when asked).
        reason: one line, where it isn't done.
        seconds: it took.
    """

    status: str
    reason: str
    seconds: float


class Processes:
    """Runs scripts, each with its share of the cores, and stops them together.

    Args:
        apart: signals to whom they belong to reach them through `stop` alone.
    """

    def __init__(self, *, apart: bool = True) -> None:
        self._apart = apart
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # a signal's handler takes it within another's
        self.stopping = False

    def run(self, line: Sequence[str], *, threads: int, folder: Path) -> Ending:
        """Runs one command line to its end.

        Where a process that a killed comparison left still works in the folder, that is awaited:
        nothing of its work is lost.

        Args:
            line: script, relative to the project, and its words; "-m" begins a module's.
            threads: CPU threads it may use.
            folder: of its results; what it says goes to a file there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        await_free(folder / f".{SAVE}.lock")
        start = time.monotonic()
        cores = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        said = folder / "stderr.txt"
        with said.open("wb") as errors:
            with self._held():
                if self.stopping:
                    return Ending("stopped", "stopped before it began", 0.0)
                process = subprocess.Popen(
                    [sys.executable, *line],
                    cwd=ROOT,
                    env=_ALLOCATOR | os.environ | cores,  # a user's own stays
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    start_new_session=self._apart,
                )
                self._running.add(process)
            code = process.wait()
        with self._held():
            self._running.discard(process)
        return Ending(_status(code), _reason(code, said), round(time.monotonic() - start, 3))

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Holds the lock, without SIGUSR2, SLURM's warning, whose handler takes it too.

        A process that starts meanwhile never hears that signal: it is for whom it belongs to.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        try:
            with self._lock:
                yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def stop(self) -> None:
        """Asks all processes to save and leave; no further one begins."""
        with self._lock:
            self.stopping = True
            for process in self._running:
                process.terminate()

    def await_saved(self, seconds: float) -> None:
        """Waits until the processes have left, from a signal's handler too: reaps none."""
        end = time.monotonic() + seconds
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        for process in list(self._running):
            with contextlib.suppress(ChildProcessError):
                while not os.waitid(os.P_PID, process.pid, options) and time.monotonic() < end:
                    time.sleep(_WAIT)


def command_line(script: str, flags: Mapping[str, Any], more: str = "") -> list[str]:
    """A script and its words.

    Args:
        script: relative to the project.
        flags: by name; a list is a flag with several values, None leaves a flag out.
        more: what a user wrote, as a shell would read it.
    """
    words = [script]
    for name, value in flags.items():
        if isinstance(value, list | tuple):
            words += [f"--{name}", *map(str, value)]
        elif value is not None:
            words.append(f"--{name}={value}")
    return words + shlex.split(more)


def _status(code: int) -> str:
    if code == 0:
        return "done"
    if code < 0 or code > SIGNAL_EXIT:
        return "stopped"
    return "diverged" if code == DIVERGED else "failed"


def _reason(code: int, said: Path) -> str:
    """The last line that a process which failed had to say."""
    if code == 0:
        return ""
    lines = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
    last = " ".join(lines[-1].split())[:300] if lines else "it said nothing"
    return f"exit code {code}: {last}"


def await_free(path: Path) -> None:
    """Waits until no other process holds a run's lock."""
    told = False
    while path.exists():
        with path.open("r+") as file:
            try:
                lock_file(file)
                return
            except BlockingIOError:
                if not told:
                    log.info("%s: an earlier process works there; waiting for it", path.parent)
                told = True
        time.sleep(_WAIT)
