"""The tables of a comparison's report."""

from benchmarks.comparison.arm_summary import SCORE, ArmSummary, Seed, Spread
from benchmarks.comparison.page import UNKNOWN, Table
from benchmarks.comparison.summary import RANDOM_SEARCH, Summary

BUDGET_TOLERANCE = 0.15
"""How far measured search seconds may be from the planned ones."""


def number(value: float | None, digits: int = 4, sign: str = "") -> str:
    """A number with so many decimals, or what stands for an unknown one."""
    if value is None:
        return UNKNOWN
    text = f"{round(value, digits) + 0.0:{sign}.{digits}f}"  # adding 0 makes -0 a 0
    return text.replace("-", "−")


def seconds(value: float | None) -> str:
    """Seconds with three digits that count."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return UNKNOWN
    return "< .0001" if value < 1e-4 else "1" if value > 0.99995 else f"{value:.4f}"[1:]


def mean_deviation(spread: Spread) -> str:
    """Mean ± standard deviation."""
    if spread.deviation is None:
        return number(spread.mean)
    return f"{number(spread.mean)} ± {number(spread.deviation)}"


def interval(limits: tuple[float, float] | None) -> str:
    """An interval."""
    return UNKNOWN if limits is None else f"{number(limits[0])}–{number(limits[1])}"


def results_table(summary: Summary) -> Table:
    """Every arm: the scores of its networks in the test, and how it stands among the others."""
    rows = []
    for arm in summary.arms:
        auprc, auroc = arm.scores[SCORE], arm.scores["test_auroc"]
        wins = arm.against_random
        rows.append(
            (
                arm.arm,
                f"{auprc.number} of {arm.runs}",
                mean_deviation(auprc),
                interval(auprc.interval),
                mean_deviation(auroc),
                interval(auroc.interval),
                number(arm.improvement[SCORE], 1, "+"),
                "/".join(map(str, wins)) if wins else UNKNOWN,
                number(arm.mean_rank, 2),
            )
        )
    return Table(
        title="Test scores by arm, best first",
        columns=(
            "arm",
            "seeds done",
            "AUPRC",
            "95 % interval",
            "AUROC",
            "95 % interval",
            "over random (%)",
            "win/ tie/ loss",
            "mean rank",
        ),
        rows=rows,
        note="Means over the targets that can be scored; mean ± standard deviation over seeds, "
        "with the 95 % interval of the mean by Student's t, as if scores were normally distributed "
        "(three seeds or more). Over random: how much the mean AUPRC is above that of random "
        "architectures (the relative improvement of Yang et al., ICLR 2020). Win/tie/loss: seeds "
        f"whose AUPRC is above, equal to or below that of the arm {RANDOM_SEARCH}. Mean rank by "
        "AUPRC over the seeds that all ranked arms finished.",
    )


def medians_table(summary: Summary) -> Table:
    """Medians over targets, and the extremes over seeds."""
    rows = [
        (
            arm.arm,
            mean_deviation(arm.scores["test_auprc_median"]),
            mean_deviation(arm.scores["test_auroc_median"]),
            _seed(arm.best),
            _seed(arm.worst),
            number(arm.improvement["test_auroc"], 1, "+"),
        )
        for arm in summary.arms
    ]
    return Table(
        title="Median target, best and worst seed",
        columns=(
            "arm",
            "median AUPRC",
            "median AUROC",
            "best seed (AUPRC)",
            "worst seed (AUPRC)",
            "AUROC over random (%)",
        ),
        rows=rows,
        note="Medians over targets; mean ± standard deviation over seeds.",
    )


def _seed(seed: Seed | None) -> str:
    return UNKNOWN if seed is None else f"{number(seed.score)} (seed {seed.seed})"


def categories_table(summary: Summary) -> Table | None:
    """The median target of every category, where targets have categories."""
    names = sorted({name for arm in summary.arms for name in arm.categories})
    if not names:
        return None
    columns = [(name, score) for name in names for score in ("auprc", "auroc")]
    rows = [
        (
            arm.arm,
            *(
                mean_deviation(arm.categories[name][score]) if name in arm.categories else UNKNOWN
                for name, score in columns
            ),
        )
        for arm in summary.arms
    ]
    return Table(
        title="Median target by category",
        columns=("arm", *(f"{name} {score.upper()}" for name, score in columns)),
        rows=rows,
        note="Medians over the targets of a category; mean ± standard deviation over seeds.",
    )


def costs_table(summary: Summary) -> Table:
    """What the arms cost, and how large and fast their networks are."""
    rows = []
    for arm in summary.arms:
        costs, size = arm.costs, arm.parameters
        operations, time = arm.multiply_adds, arm.inference_seconds
        rows.append(
            (
                arm.arm,
                *map(seconds, (costs.search, costs.final, costs.total, costs.spent)),
                UNKNOWN if size is None else f"{size:,.0f}",
                UNKNOWN if operations is None else f"{operations / 1e6:,.2f}",
                UNKNOWN if time is None else f"{1e3 * time:.3g}",
            )
        )
    return Table(
        title="Costs and sizes",
        columns=(
            "arm",
            "search (s)",
            "final training (s)",
            "total (s)",
            "all runs (s)",
            "parameters",
            "multiply-adds (millions)",
            "inference (ms per sequence)",
        ),
        rows=rows,
        note="Device-seconds: means over finished runs; “all runs” is the sum over all, unfinished "
        "ones too as far as they are known. Sizes are means over the final networks, multiply-adds "
        "those of one sequence.",
    )


def budget_ratio(arm: ArmSummary) -> float | None:
    """Measured over planned search seconds."""
    costs = arm.costs
    return costs.search / costs.planned if costs.search and costs.planned else None


def budget_table(summary: Summary) -> Table | None:
    """Planned against measured search seconds."""
    planned = [arm for arm in summary.arms if arm.costs.planned]
    if not planned:
        return None
    rows = []
    for arm in planned:
        ratio = budget_ratio(arm)
        word = UNKNOWN if ratio is None else "yes" if abs(ratio - 1) <= BUDGET_TOLERANCE else "no"
        change = number(None if ratio is None else 100 * (ratio - 1), 1, "+")
        rows.append((arm.arm, seconds(arm.costs.planned), seconds(arm.costs.search), change, word))
    return Table(
        title="Equal budget: planned and measured search cost",
        columns=(
            "arm",
            "planned (s)",
            "measured (s)",
            "difference (%)",
            f"within ±{100 * BUDGET_TOLERANCE:.0f} %",
        ),
        rows=rows,
    )


def unfinished_table(summary: Summary) -> Table | None:
    """Runs without a result, and why."""
    finished = {(r.arm, r.seed) for arm in summary.arms for r in summary.finished(arm.arm)}
    rows = [
        (record.arm, str(record.seed), record.status, record.reason or UNKNOWN)
        for record in summary.records
        if (record.arm, record.seed) not in finished
    ]
    columns = ("arm", "seed", "status", "reason")
    words = (0, 2, 3)
    title = "Runs without a result"
    return Table(title=title, columns=columns, rows=rows, words=words) if rows else None
