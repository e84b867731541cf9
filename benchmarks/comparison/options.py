"""The flags of a comparison."""

import os
from dataclasses import dataclass
from typing import ClassVar

from baseline_models.networks import BASELINES
from benchmarks.comparison.arms import RANDOM_AVERAGE, SEARCHES
from benchmarks.comparison.work import UNITS
from generalNAS_tools.runs.flags import flag, real, switch, whole
from generalNAS_tools.runs.options import DataOptions, FrameOptions


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """What is compared."""

    title: ClassVar = None
    methods: str = flag(
        str,
        ",".join([*SEARCHES, RANDOM_AVERAGE]),
        f"searches, and {RANDOM_AVERAGE} (random architectures, trained, not searched)",
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
    workers: int | None = flag(whole(1), None, "runs at a time (default: one per device)")
    devices: str = flag(str, "auto", "devices that the workers share: cpu, cuda:0,cuda:1 ...")
    threads: int | None = flag(
        whole(1), None, "CPU threads of a run (default: the cores shared among --workers)"
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
        """CPU threads of a run."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.at_a_time)


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The cluster, where there is one."""

    title: ClassVar = "cluster"
    cluster: str = flag(str, "none", "who starts the runs", choices=["none", "slurm"])
    partition: str | None = flag(str, None, "partition of the jobs")
    minutes: int = flag(whole(1), 24 * 60, "time limit of a job; it is requeued and goes on")
    gpus: int = flag(whole(0), 0, "GPUs of a job")
    sbatch: str = flag(str, "", "further options of sbatch: account=lab,mem=16G,requeue=True")

    def more(self) -> dict[str, str]:
        """The further options of sbatch by name.

        Raises:
            ValueError: one has no value.
        """
        pairs = [text.partition("=") for text in self.sbatch.split(",") if text]
        for name, sign, _ in pairs:
            if not sign:
                raise ValueError(f"--sbatch {name}: expected name=value")
        return {name.strip(): value for name, _, value in pairs}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of benchmarks/compare_searches.py."""

    comparison: ComparisonOptions
    data: DataOptions
    network: FrameOptions
    workers: WorkerOptions
    cluster: ClusterOptions
