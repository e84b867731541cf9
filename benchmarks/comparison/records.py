"""What one finished, failed or missing run of a comparison is to the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SEARCH, BASELINE = "search", "baseline"
RANDOM_AVERAGE, ONE_ARCHITECTURE = "random_average", "one_architecture"
"""Arms of their own kind, trained but not searched: random architectures, each with another seed;
another one with every seed."""
KINDS = (SEARCH, BASELINE, RANDOM_AVERAGE, ONE_ARCHITECTURE)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One (arm, seed) of a comparison; a field that isn't known (yet) is None.

    Attributes:
        arm: Name of the arm: a search, a baseline, `RANDOM_AVERAGE` or `ONE_ARCHITECTURE`.
        kind: One of `KINDS`.
        seed: The seed of the run; for `random_average` the number of its architecture.
        status: "done", "failed", "diverged", "running" or "missing".
        reason: One line that says why a run isn't done.
        search_seconds, final_seconds: Measured device-seconds of searching (with every candidate
            that the method trained) and of the final training.
        planned_seconds: Device-seconds of searching that the plan gave the run.
        sequences: Sequences seen while searching.
        parameters, multiply_adds: Of the final network; multiply-adds for one sequence.
        inference_seconds: Seconds per sequence of the final network in the test.
        valid_auroc, valid_auprc: Of the final network, at its best epoch.
        test_loss, test_auroc, test_auprc: Of the test set; means over the scorable targets.
        test_auroc_median, test_auprc_median: Medians over the same targets.
        targets: Per target its number, category, positives, AUROC and AUPRC in the test set.
        anytime: (device-seconds, best validation AUPRC so far), in order of time.
        genotype: Genotype file of a search's result.
    """

    arm: str
    kind: str
    seed: int
    status: str
    reason: str = ""
    search_seconds: float | None = None
    planned_seconds: float | None = None
    final_seconds: float | None = None
    sequences: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    inference_seconds: float | None = None
    valid_auroc: float | None = None
    valid_auprc: float | None = None
    test_loss: float | None = None
    test_auroc: float | None = None
    test_auprc: float | None = None
    test_auroc_median: float | None = None
    test_auprc_median: float | None = None
    targets: tuple[Mapping[str, object], ...] = ()
    anytime: tuple[tuple[float, float], ...] = field(default=())
    genotype: Path | None = None
