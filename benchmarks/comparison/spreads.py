"""Does the architecture matter more than the seed? Spreads beside each other, in words."""

from typing import NamedTuple

from benchmarks.comparison.arm_summary import SCORE
from benchmarks.comparison.page import Table
from benchmarks.comparison.records import BASELINE, ONE_ARCHITECTURE, RANDOM_AVERAGE, SEARCH
from benchmarks.comparison.significance import MIN_SEEDS, deviation_interval
from benchmarks.comparison.summary import Summary
from benchmarks.comparison.tables import interval, number


class ArmSpread(NamedTuple):
    """Scores of an arm, their deviation (two scores or more) and its 95 % interval (three)."""

    arm: str
    kind: str
    scores: tuple[float, ...]
    deviation: float | None
    limits: tuple[float, float] | None


_VARIES = {
    SEARCH: "searched architecture and seed",
    BASELINE: "seed alone",
    RANDOM_AVERAGE: "random architecture and seed",
    ONE_ARCHITECTURE: "seed alone",
}


def spreads_of(summary: Summary) -> list[ArmSpread]:
    """The spread of every arm with a result: what isn't searched first."""
    found = []
    for kind in (RANDOM_AVERAGE, ONE_ARCHITECTURE, BASELINE, SEARCH):
        for arm in summary.arms:
            scores = tuple(getattr(record, SCORE) for record in summary.finished(arm.arm))
            if arm.kind == kind and scores:
                limits = deviation_interval(scores)
                deviation = arm.scores[SCORE].deviation
                found.append(ArmSpread(arm.arm, kind, scores, deviation, limits))
    return found


def spreads_table(summary: Summary) -> Table:
    """Spreads with what makes them."""
    rows = []
    for own in spreads_of(summary):
        rows.append(
            (
                own.arm,
                _VARIES[own.kind],
                str(len(own.scores)),
                number(own.deviation),
                interval(own.limits),
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
    fixed = [own for own in spreads if own.kind in (ONE_ARCHITECTURE, BASELINE)]
    words = [_deviations_compared(average[0], own) for own in fixed]
    if not words:
        words = [
            "No arm trains one architecture with several seeds, so the spread of seeds is not "
            f"known; the arm {ONE_ARCHITECTURE} shows it."
        ]
    searches = [own for own in spreads if own.kind == SEARCH]
    return [*words, _ranges_compared(average[0], searches)] if searches else words


def _deviations_compared(average: ArmSpread, own: ArmSpread) -> str:
    if average.limits is None or own.limits is None:
        return (
            f"Whether random architectures spread more than seeds of {own.arm} can't be said: "
            f"that takes {MIN_SEEDS} networks of each."
        )
    random = f"random architectures ({_deviation(average)})"
    seeds = f"the seeds of {own.arm} ({_deviation(own)})"
    if average.limits[0] > own.limits[1]:
        return f"Scores of {random} spread more than those of {seeds}: architecture matters here."
    if average.limits[1] < own.limits[0]:
        return f"Scores of {random} spread less than those of {seeds}: the seed matters more here."
    return (
        f"The spreads of {random} and of {seeds} overlap: what lies between two architectures "
        "here may be no more than what the seed makes of one and the same architecture."
    )


def _deviation(own: ArmSpread) -> str:
    return f"standard deviation {number(own.deviation)}, 95 % interval {interval(own.limits)}"


def _ranges_compared(average: ArmSpread, searches: list[ArmSpread]) -> str:
    low, high = min(average.scores), max(average.scores)
    counts = []
    for own in searches:
        above = sum(score > high for score in own.scores)
        below = sum(score < low for score in own.scores)
        counts.append(f"{own.arm} {above}/{len(own.scores) - above - below}/{below}")
    return (
        "Found networks above/within/below the range of the random architectures "
        f"({number(low)}–{number(high)}, {len(average.scores)} of them): {', '.join(counts)}."
    )
