"""Does the architecture matter more than the seed? Spreads beside each other, in words."""

from typing import NamedTuple

from benchmarks.comparison.arm_summary import BASELINE, RANDOM_AVERAGE, SCORE, SEARCH
from benchmarks.comparison.page import Table
from benchmarks.comparison.significance import MIN_SEEDS, deviation_interval
from benchmarks.comparison.summary import Summary
from benchmarks.comparison.tables import interval, number


class ArmSpread(NamedTuple):
    """Scores of an arm with their deviation and its 95 % interval, which need three scores."""

    arm: str
    kind: str
    scores: tuple[float, ...]
    deviation: float | None
    low: float | None
    high: float | None


_VARIES = {
    SEARCH: "searched architecture and seed",
    BASELINE: "seed alone",
    RANDOM_AVERAGE: "random architecture and seed",
}


def spreads_of(summary: Summary) -> list[ArmSpread]:
    """The spread of every arm with a result: random architectures, baselines, searches."""
    found = []
    for kind in (RANDOM_AVERAGE, BASELINE, SEARCH):
        for arm in summary.arms:
            scores = tuple(getattr(record, SCORE) for record in summary.finished(arm.arm))
            if arm.kind == kind and scores:
                limits = deviation_interval(scores) or (arm.scores[SCORE].deviation, None, None)
                found.append(ArmSpread(arm.arm, kind, scores, *limits))
    return found


def spreads_table(summary: Summary) -> Table:
    """Spreads with what makes them."""
    rows = []
    for own in spreads_of(summary):
        limits = None if own.low is None or own.high is None else (own.low, own.high)
        rows.append(
            (
                own.arm,
                _VARIES[own.kind],
                str(len(own.scores)),
                number(own.deviation),
                interval(limits),
                f"{number(min(own.scores))}–{number(max(own.scores))}",
            )
        )
    return Table(
        title="Spread of test AUPRC",
        columns=(
            "arm",
            "what varies",
            "networks",
            "standard deviation",
            "its 95 % interval",
            "lowest–highest",
        ),
        rows=rows,
        words=(0, 1),
        note="Intervals of the deviation by χ², as if scores were normally distributed.",
    )


def spread_words(summary: Summary) -> list[str]:
    """What the spreads say, a paragraph each."""
    spreads = spreads_of(summary)
    average = [own for own in spreads if own.kind == RANDOM_AVERAGE]
    if not average:
        return [
            "No random architecture was trained, so nothing tells how much of a score is the "
            f"architecture's. The arm {RANDOM_AVERAGE} does that."
        ]
    baselines = [own for own in spreads if own.kind == BASELINE]
    words = [_deviations_compared(average[0], own) for own in baselines]
    if not words:
        words = [
            "No arm trains one architecture with several seeds, so the spread of seeds is not "
            "known; a baseline shows it."
        ]
    return words + [_inside(average[0], own) for own in spreads if own.kind == SEARCH]


def _deviations_compared(average: ArmSpread, own: ArmSpread) -> str:
    if None in (average.low, average.high, own.low, own.high):
        return (
            f"Whether random architectures spread more than seeds of {own.arm} can't be said: "
            f"that takes {MIN_SEEDS} networks of each."
        )
    random = f"Random architectures (standard deviation {_deviation(average)})"
    seeds = f"the seeds of {own.arm} ({_deviation(own)})"
    assert average.low and average.high and own.low and own.high
    if average.low > own.high:
        return f"{random} spread more than {seeds}: here the architecture matters beyond the seed."
    if average.high < own.low:
        return f"{random} spread less than {seeds}: here the seed matters more."
    return (
        f"{random} and {seeds} spread alike: the intervals overlap, so what differs between "
        "architectures here may be no more than what the seed makes of one architecture."
    )


def _deviation(own: ArmSpread) -> str:
    limits = None if own.low is None or own.high is None else (own.low, own.high)
    return f"{number(own.deviation)}, 95 % interval {interval(limits)}"


def _inside(average: ArmSpread, own: ArmSpread) -> str:
    low, high = min(average.scores), max(average.scores)
    inside = sum(low <= score <= high for score in own.scores)
    above = sum(score > high for score in own.scores)
    below = len(own.scores) - inside - above
    return (
        f"{own.arm}: of {len(own.scores)} networks {above} above, {inside} within and {below} "
        f"below the range of {len(average.scores)} random architectures "
        f"({number(low)}–{number(high)})."
    )
