"""The pieces of work of a comparison: a calibration, and a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison.arms import SEARCHES
from benchmarks.comparison.calibration import CALIBRATED, costs_of
from benchmarks.comparison.one_run import Run, device_kind, execute
from benchmarks.comparison.records import SEARCH
from benchmarks.comparison.work import Sizes
from generalNAS_tools.workers.processes import SAVE, Processes, command_line
from generalNAS_tools.workers.tasks import read_state, write_state


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
        run, before = self.run, read_state(self.folder)
        line = self._line(device) if run.kind == SEARCH else []
        state: dict[str, Any] = {"device": device_kind(device), "line": list(map(str, line))}
        if before.get("status") == "done" and before.get("line") == state["line"]:
            return
        if not line:
            write_state(run.folder, {**state, "status": "done", "costs": {}})
            return
        write_state(run.folder, {**state, "status": "running", "reason": ""})
        end = processes.run(line, threads=run.threads, folder=run.folder)
        costs: Mapping[str, Any] = {}
        if end.status == "done":
            costs = costs_of(run.folder, SEARCHES[run.arm], self.sizes)
        state |= {"status": end.status, "reason": end.reason, "costs": costs}
        write_state(run.folder, state)

    def _line(self, device: str) -> list[str]:
        run, search = self.run, SEARCHES[self.run.arm]
        own = {"save_dir": run.folder, "save": SAVE, "seed": run.seed, "device": device}
        planned = search.shapes(1, self.sizes)[0].flags.items()
        batches = {name: value for name, value in planned if name.endswith("batch_size")}
        short = {**batches, **search.calibration, "num_steps": self.sizes.num_steps, **CALIBRATED}
        flags = {**run.data, **run.frame, **short, **own}
        return command_line(search.script, flags, run.more["search"])
