"""The flags of a comparison."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from baseline_models.networks import BASELINES
from benchmarks.comparison.arms import SEARCHES
from benchmarks.comparison.records import ONE_ARCHITECTURE, RANDOM_AVERAGE
from benchmarks.comparison.work import UNITS
from generalNAS_tools.runs.flags import flag, real, switch, whole
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.options import DataOptions


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """What is compared."""

    title: ClassVar = None
    methods: str = flag(
        str,
        ",".join([*SEARCHES, RANDOM_AVERAGE, ONE_ARCHITECTURE]),
        f"searches; {RANDOM_AVERAGE} (random architectures, trained, not searched); "
        f"{ONE_ARCHITECTURE} (the first of these with every seed)",
    )
    baselines: str = flag(str, "", f"published networks: {', '.join(BASELINES)}")
    seeds: int = flag(whole(1), 5, "runs of every arm, with the seeds 0, 1, 2 ...")
    architectures: int | None = flag(
        whole(1), None, f"architectures of {RANDOM_AVERAGE} (default: --seeds)"
    )
    budget: float = flag(real(0.0), ..., "what every search gets")
    budget_unit: str = flag(
        str, "seconds", "device-seconds, training sequences seen, or epochs", choices=UNITS
    )
    calibration_steps: int = flag(whole(1), 20, "steps an epoch of the calibration")
    search_flags: str = flag(str, "", "further flags of all searches, as one quoted text")
    final_flags: str = flag(str, "", "further flags of all final trainings")
    baseline_flags: str = flag(str, "", "further flags of the baselines")
    plan_only: bool = switch(False, "write plan.json and leave")
    save_dir: str = flag(str, "results/compare", "folder for everything")

    def arms(self) -> list[str]:
        """Names of all arms, each once."""
        names = [*self.methods.split(","), *self.baselines.split(",")]
        return list(dict.fromkeys(name for name in map(str.strip, names) if name))


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Who does the work."""

    title: ClassVar = "workers"
    workers: int | None = flag(
        whole(1), None, "runs at a time (default: one per device; on a cluster all)"
    )
    devices: str = flag(str, "auto", "devices that the workers share: cpu, cuda:0,cuda:1 ...")
    threads: int | None = flag(
        whole(1),
        None,
        "CPU threads of a run (default: the cores shared among --workers; on a cluster 4)",
    )

    @property
    def device_list(self) -> list[str]:
        """The devices, at least one."""
        return [name for name in map(str.strip, self.devices.split(",")) if name] or ["auto"]

    @property
    def at_a_time(self) -> int:
        """Runs at a time."""
        return self.workers or len(self.device_list)

    @property
    def threads_each(self) -> int:
        """The cores of this machine, shared among the workers."""
        return max(1, len(os.sched_getaffinity(0)) // self.at_a_time)


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The cluster, where there is one."""

    title: ClassVar = "cluster"
    cluster: str = flag(str, "none", "who starts the runs", choices=["none", "slurm"])
    partition: str | None = flag(str, None, "partition of the jobs")
    minutes: int = flag(whole(1), 24 * 60, "time limit of a job; it is requeued and goes on")
    gpus: int = flag(whole(0), 0, "GPUs of a job")
    sbatch: str = flag(str, "", "further options of sbatch: account=lab,mem=16G,requeue")

    def more(self) -> dict[str, Any]:
        """The further options of sbatch by name; True for one without a value."""
        pairs = [text.strip().partition("=") for text in self.sbatch.split(",") if text.strip()]
        return {name: value if sign else True for name, sign, value in pairs}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of benchmarks/compare_searches.py."""

    comparison: ComparisonOptions
    data: DataOptions
    network: FrameOptions
    workers: WorkerOptions
    cluster: ClusterOptions

    @property
    def threads(self) -> int:
        """CPU threads of a run."""
        on_cluster = self.cluster.cluster != "none"
        return self.workers.threads or (4 if on_cluster else self.workers.threads_each)
