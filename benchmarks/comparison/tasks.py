"""The pieces of work of a comparison: a calibration, and a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.comparison.arms import SEARCHES
from benchmarks.comparison.calibration import CALIBRATED, costs_of
from benchmarks.comparison.one_run import Run, device_kind, execute, read_state, write_state
from benchmarks.comparison.processes import SAVE, Processes, command_line
from benchmarks.comparison.work import Sizes


class Task(Protocol):
    """Something that is done in a folder of its own, here or elsewhere, and leaves its state."""

    @property
    def name(self) -> str:
        """As it is called in logs."""

    @property
    def folder(self) -> Path:
        """Where it works."""

    def work(self, processes: Processes, device: str) -> None:
        """Does what is left; its state goes to the folder's run.json."""


@dataclass(frozen=True)
class Execution:
    """A run to its end."""

    run: Run

    @property
    def name(self) -> str:
        """As it is called in logs."""
        return self.run.name

    @property
    def folder(self) -> Path:
        """Where it works."""
        return self.run.folder

    def work(self, processes: Processes, device: str) -> None:
        """Does what is left of the run."""
        execute(self.run, processes, device)


@dataclass(frozen=True)
class Calibration:
    """Measures what the steps of an arm cost, with a short run of its own script.

    Attributes:
        run: of the arm, with a folder for this alone; other arms than searches only tell the
            kind of device.
        sizes: of an epoch of this short run.
    """

    run: Run
    sizes: Sizes

    @property
    def name(self) -> str:
        """As it is called in logs."""
        return f"calibration of {self.run.arm}"

    @property
    def folder(self) -> Path:
        """Where it works."""
        return self.run.folder

    def work(self, processes: Processes, device: str) -> None:
        """Runs the script and reads its history; every second epoch is validated."""
        run, state = self.run, {"device": device_kind(device)}
        if read_state(run.folder).get("status") == "done":
            return
        if run.kind != "search":
            write_state(run.folder, {"status": "done", "costs": {}, **state})
            return
        search = SEARCHES[run.arm]
        own = {"save_dir": run.folder, "save": SAVE, "seed": run.seed, "device": device}
        short = {**search.calibration, "num_steps": self.sizes.num_steps, **CALIBRATED}
        flags = {**run.data, **run.frame, **short, **own}
        line = command_line(search.script, flags, run.more["search"])
        write_state(run.folder, {"status": "running", "reason": "", **state})
        end = processes.run(line, threads=run.threads, folder=run.folder)
        state |= {"status": end.status, "reason": end.reason}
        costs: Mapping[str, Any] = {}
        if end.status == "done":
            costs = costs_of(run.folder, search, self.sizes)
        write_state(run.folder, {**state, "costs": costs})
