"""The flags that say who does the work: processes of this machine, or a cluster."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from generalNAS_tools.runs.command import pick_device
from generalNAS_tools.runs.flags import flag, whole


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


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The cluster, where there is one."""

    title: ClassVar = "cluster"
    cluster: str = flag(str, "none", "who starts the runs", choices=["none", "slurm"])
    partition: str | None = flag(str, None, "partition of the jobs")
    minutes: int = flag(whole(1), 24 * 60, "time limit of a job; it is requeued and goes on")
    gpus: int = flag(whole(0), 0, "GPUs of a job")
    sbatch: str = flag(str, "", "further options of sbatch: account=lab,mem=16G,requeue")

    def __post_init__(self) -> None:
        """Checks that there is a cluster for what is said of one."""
        for name in ("partition", "gpus", "sbatch") if self.cluster == "none" else ():
            if value := getattr(self, name):
                raise ValueError(f"--{name} {value}: expected --cluster=slurm beside it")

    def more(self) -> dict[str, Any]:
        """The further options of sbatch by name; True for one without a value."""
        pairs = [text.strip().partition("=") for text in self.sbatch.split(",") if text.strip()]
        return {name: value if sign else True for name, sign, value in pairs}


@dataclass(frozen=True, kw_only=True)
class ElsewhereOptions:
    """The options of a script whose work other processes may do."""

    workers: WorkerOptions
    cluster: ClusterOptions

    @property
    def on_cluster(self) -> bool:
        """Whether the work goes to a cluster."""
        return self.cluster.cluster != "none"

    @property
    def threads(self) -> int:
        """CPU threads of a run: the cores of this machine, shared among the workers."""
        each = max(1, len(os.sched_getaffinity(0)) // self.workers.at_a_time)
        return self.workers.threads or (4 if self.on_cluster else each)

    def kind_elsewhere(self, device: str) -> str | None:
        """The type of device on which others train; None if this process does all itself.

        Args:
            device: the value of --device, which holds where --devices is not given.

        Raises:
            ValueError: there is no such device, or they are of several kinds.
        """
        if self.on_cluster:
            kind = "cuda" if self.cluster.gpus else "cpu"
            return kind if device == "auto" else device.partition(":")[0]
        if self.workers.at_a_time == 1 and self.workers.devices == "auto":
            return None
        names = [device if name == "auto" else name for name in self.workers.device_list]
        kinds = sorted({pick_device(name, flag="--devices").type for name in names})
        if len(kinds) > 1:
            raise ValueError(f"--devices {self.workers.devices}: expected one kind of device")
        return kinds[0]
