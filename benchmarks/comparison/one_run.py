"""One run of a comparison: search, final training, test and measuring, each a process.

Everything about it lies in its own folder, so that whoever is asked next goes on where it was:
this machine, another one of the same kind, or a job of a cluster.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.comparison.arms import FINAL, SEARCHES, TEST, TRAIN_BASELINE
from benchmarks.comparison.records import BASELINE, RANDOM_AVERAGE, SEARCH
from generalNAS_tools.files.genotype_files import write_genotype
from generalNAS_tools.runs.command import pick_device
from generalNAS_tools.workers.processes import SAVE, Processes, command_line
from generalNAS_tools.workers.tasks import read_state, write_state
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes

APART = {"draw": 1}
"""What a plan says of an architecture that is none of the random average's, which are draw 0."""
_ARCHITECTURES_SEED = 0x5EED


def run_folder(comparison: Path, arm: str, seed: int, *, part: str = "runs") -> Path:
    """Where a run of an arm lies in a part of a comparison's folder."""
    return comparison / part / arm / f"seed-{seed}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One (arm, seed).

    Attributes:
        arm, kind, seed: as in a `RunRecord`.
        folder: of everything it writes.
        flags: of the search, or the draw of the one architecture, from the plan.
        data: flags of data, batches and network that all scripts take.
        frame: flags of the network's frame, which baselines don't take.
        more: what the user added, by "search", "final", "baseline".
        threads: CPU threads.
        device_kind: on which the comparison was planned.
    """

    arm: str
    kind: str
    seed: int
    folder: Path
    flags: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any]
    frame: Mapping[str, Any]
    more: Mapping[str, str]
    threads: int
    device_kind: str

    @property
    def name(self) -> str:
        """As it is called in logs."""
        return f"{self.arm} seed {self.seed}"

    @property
    def genotype(self) -> Path:
        """The genotype file of the network that is trained to the end."""
        if self.kind == SEARCH:
            return self.folder / "search" / f"{SEARCHES[self.arm].method}_geno-{SAVE}.npy"
        return self.folder / "genotype.npy"

    @property
    def final(self) -> Path:
        """Folder of the final training."""
        return self.folder / ("baseline" if self.kind == BASELINE else "final")

    @property
    def metrics(self) -> Path:
        """The file with the test's metrics."""
        folder = self.final if self.kind == BASELINE else self.folder / "test"
        return folder / f"metrics_test-{SAVE}.json"


class Step(NamedTuple):
    """A process of a run, and the file that its end leaves."""

    name: str
    line: list[str]
    result: Path


def steps(run: Run, device: str) -> list[Step]:
    """What a run does, in order."""

    def own(name: str) -> dict[str, Any]:
        return {"save_dir": run.folder / name, "save": SAVE, "seed": run.seed, "device": device}

    model = run.final / f"model-{SAVE}.pth"
    measured = run.folder / "measure" / "measured.json"
    measure = {"model": model, "output": measured, "device": device}
    last = Step(
        "measure", ["-m", *command_line("benchmarks.comparison.measure", measure)], measured
    )
    if run.kind == BASELINE:
        flags = {**run.data, "model": run.arm, **own("baseline")}
        line = command_line(TRAIN_BASELINE, flags, run.more["baseline"])
        return [Step("baseline", line, run.metrics), last]
    network = {**run.data, **run.frame}
    final = {**network, "genotype_file": run.genotype, **own("final")}
    test = {**run.data, "model": model, **own("test")}
    found = [
        Step("final", command_line(FINAL, final, run.more["final"]), model),
        Step("test", command_line(TEST, test), run.metrics),
        last,
    ]
    if run.kind != SEARCH:
        return found
    search = {**network, **run.flags, **own("search")}
    line = command_line(SEARCHES[run.arm].script, search, run.more["search"])
    return [Step("search", line, run.genotype), *found]


def execute(run: Run, processes: Processes, device: str = "auto") -> dict[str, Any]:
    """Does what is left of a run and gives its state, which is also in its folder's run.json.

    A step that failed is tried again; one that is done is not.
    """
    state = read_state(run.folder)
    done: dict[str, Any] = state.get("steps", {})
    kind = device_kind(device)
    if kind != run.device_kind:
        reason = f"kind of device: {kind} here, planned on {run.device_kind}"
        return write_state(run.folder, {"status": "failed", "reason": reason, "steps": done})
    if run.kind not in (SEARCH, BASELINE) and not run.genotype.exists():
        number = run.seed if run.kind == RANDOM_AVERAGE else 0
        # Older plans name no draw: there it is the first of the random architectures.
        rng = np.random.default_rng([_ARCHITECTURES_SEED, run.flags.get("draw", 0)])
        drawn = distinct_genotypes(rng, number + 1)
        write_genotype(run.genotype, drawn[number])
    for step in steps(run, device):
        if done.get(step.name, {}).get("status") == "done" and step.result.exists():
            continue
        write_state(run.folder, {"status": "running", "reason": step.name, "steps": done})
        end = processes.run(step.line, threads=run.threads, folder=run.folder / step.name)
        attempts = done.get(step.name, {}).get("attempts", 0) + 1
        done[step.name] = {"status": end.status, "attempts": attempts, "seconds": end.seconds}
        if end.status != "done":
            reason = f"{step.name}: {end.reason}"
            return write_state(run.folder, {"status": end.status, "reason": reason, "steps": done})
    return write_state(run.folder, {"status": "done", "reason": "", "steps": done})


def device_kind(device: str) -> str:
    """The model of a GPU, or the architecture of the CPU."""
    chosen = pick_device(device)
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    return f"cpu ({platform.machine()})"
