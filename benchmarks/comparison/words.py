"""What a comparison says in sentences, and which networks it shows."""

import math

from benchmarks.comparison.arm_summary import SCORE, STATUSES, ArmSummary
from benchmarks.comparison.records import (
    BASELINE,
    KINDS,
    ONE_ARCHITECTURE,
    RANDOM_AVERAGE,
    SEARCH,
    RunRecord,
)
from benchmarks.comparison.significance import MIN_SEEDS
from benchmarks.comparison.summary import Summary
from benchmarks.comparison.tables import BUDGET_TOLERANCE, budget_ratio, number

_PLURAL = {SEARCH: "searches", BASELINE: "baselines"}
_UNCOUNTED = {RANDOM_AVERAGE: "random architectures", ONE_ARCHITECTURE: "one architecture again"}


def headline(summary: Summary) -> list[str]:
    """The report in a few sentences."""
    words = [_what_ran(summary)]
    best = [arm for arm in summary.arms if arm.best is not None]
    if not best:
        return [*words, "No run has a result yet."]
    words.append(_leader(summary, best[0]))
    searches = [arm for arm in best if arm.kind == SEARCH]
    average = next((arm for arm in best if arm.kind == RANDOM_AVERAGE), None)
    if average and searches:
        better = [arm.arm for arm in searches if (arm.improvement[SCORE] or 0) > 0]
        names = f" ({', '.join(better)})" if better else ""
        words.append(
            f"{len(better)} of {len(searches)} searches find networks whose mean AUPRC is above "
            f"that of random architectures{names}."
        )
    return [*words, budget_words(summary)] if searches else words


def _what_ran(summary: Summary) -> str:
    kinds = [(kind, sum(arm.kind == kind for arm in summary.arms)) for kind in KINDS]
    named = [
        _UNCOUNTED.get(kind) or f"{count} {kind if count == 1 else _PLURAL[kind]}"
        for kind, count in kinds
        if count
    ]
    total = sum(arm.runs for arm in summary.arms)
    counts = {status: sum(arm.counts[status] for arm in summary.arms) for status in STATUSES}
    states = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return f"{', '.join(named) or 'No arm'}. {total} runs: {states or 'none'}.".capitalize()


def _leader(summary: Summary, first: ArmSummary) -> str:
    score = first.scores[SCORE]
    text = f"{first.arm} has the highest mean test AUPRC, {number(score.mean)}"
    text += f" over {score.number} seeds." if score.number > 1 else ", of one seed."
    pairs = [pair for pair in summary.pairs if pair.first == first.arm and pair.delta is not None]
    if not pairs:
        return text
    tested = [pair for pair in pairs if pair.adjusted is not None]
    if not tested:
        return f"{text} With fewer than {MIN_SEEDS} seeds an arm, that may be chance: no test."
    found = [pair.second for pair in tested if pair.verdict == "significant"]
    text += f" It differs significantly from {', '.join(found) or 'no other arm'}."
    unclear = [pair.second for pair in tested if pair.verdict.startswith("smallest")]
    few = f" For {', '.join(unclear)} there are too few seeds to tell." if unclear else ""
    return text + few


def budget_words(summary: Summary) -> str:
    """Whether the searches cost what the plan gave them."""
    known = {arm.arm: budget_ratio(arm) for arm in summary.arms if arm.kind == SEARCH}
    ratios = {arm: ratio for arm, ratio in known.items() if ratio is not None}
    limit = f"±{100 * BUDGET_TOLERANCE:.0f} %"
    if not ratios:
        return "Planned and measured search costs can't be compared: one of them is not known."
    off = [
        f"{arm} ({number(100 * (ratio - 1), 1, '+')} %)"
        for arm, ratio in ratios.items()
        if abs(ratio - 1) > BUDGET_TOLERANCE
    ]
    if off:
        return f"The budget was not equal: beyond {limit} of the plan are {', '.join(off)}."
    unknown = [arm for arm in known if arm not in ratios]
    rest = f" Not known: {', '.join(unknown)}." if unknown else ""
    return f"Measured search cost is within {limit} of the plan.{rest}"


def best_genotypes(summary: Summary) -> list[RunRecord]:
    """Of every arm the run with a genotype whose network does best in validation.

    By AUPRC, where that is unknown by AUROC, then the lowest seed.
    """
    found = []
    for arm in summary.arms:
        runs = [r for r in summary.records if r.arm == arm.arm and r.genotype is not None]
        if runs:
            found.append(max(runs, key=_validated))
    return found


def _validated(record: RunRecord) -> tuple[float, float, int]:
    scores = (record.valid_auprc, record.valid_auroc)
    known = [-math.inf if s is None or math.isnan(s) else s for s in scores]
    return known[0], known[1], -record.seed
