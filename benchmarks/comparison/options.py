"""The flags of a comparison."""

from dataclasses import dataclass
from typing import ClassVar

from baseline_models.networks import BASELINES
from benchmarks.comparison.arms import SEARCHES
from benchmarks.comparison.records import ONE_ARCHITECTURE, RANDOM_AVERAGE
from benchmarks.comparison.work import UNITS
from generalNAS_tools.runs.flags import flag, real, switch, whole
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.options import DataOptions
from generalNAS_tools.workers.options import ElsewhereOptions


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """What is compared."""

    title: ClassVar = None
    methods: str = flag(
        str,
        ",".join([*SEARCHES, RANDOM_AVERAGE, ONE_ARCHITECTURE]),
        f"searches; {RANDOM_AVERAGE} (random architectures, trained, not searched); "
        f"{ONE_ARCHITECTURE} (another one, with every seed)",
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
    report_only: bool = switch(
        False, "write the report of what is there and leave, while others still run, say"
    )
    save_dir: str = flag(str, "results/compare", "folder for everything")

    def __post_init__(self) -> None:
        """Refuses a budget of nothing, no arm, and two things of which each is the only one."""
        if not self.budget:
            raise ValueError("--budget 0: expected more than 0")
        if not self.arms():
            raise ValueError(f"--methods {self.methods!r}: expected an arm, here or in --baselines")
        if self.plan_only and self.report_only:
            raise ValueError("--plan_only and --report_only: give one of them")

    def arms(self) -> list[str]:
        """Names of all arms, each once."""
        names = [*self.methods.split(","), *self.baselines.split(",")]
        return list(dict.fromkeys(name for name in map(str.strip, names) if name))


@dataclass(frozen=True, kw_only=True)
class Options(ElsewhereOptions):
    """The flags of benchmarks/compare_searches.py."""

    comparison: ComparisonOptions
    data: DataOptions
    network: FrameOptions
