"""Differences between arms: tables of tests, and what may be said after them."""

import itertools
from collections.abc import Mapping, Sequence

from benchmarks.comparison.page import Table
from benchmarks.comparison.records import BASELINE, SEARCH
from benchmarks.comparison.significance import LEVEL, MIN_BLOCKS, MIN_SEEDS
from benchmarks.comparison.summary import Summary
from benchmarks.comparison.tables import number, probability


def pairs_table(summary: Summary) -> Table:
    """Every two arms compared."""
    rows = [
        (
            f"{pair.first} – {pair.second}",
            number(pair.difference, 4, "+"),
            number(pair.delta, 2, "+"),
            pair.test,
            f"{pair.sizes[0]}, {pair.sizes[1]}",
            probability(pair.p),
            probability(pair.adjusted),
            pair.verdict,
        )
        for pair in summary.pairs
    ]
    return Table(
        title="Differences in test AUPRC between every two arms",
        columns=("arms", "difference", "Cliff's δ", "test", "seeds", "p", "p (Holm)", "verdict"),
        rows=rows,
        words=(0, 3, 7),
        note=f"Two-sided, exact where it can be counted; Holm's correction over all tests of this "
        f"table; level {LEVEL}. Cliff's δ: +1 where every seed of the first arm is "
        "better than every seed of the second, 0 where neither is. “Smallest possible p” stands "
        "where so few seeds can't reach the level, however clear the difference is.",
    )


def ranks_table(summary: Summary) -> Table | None:
    """Nemenyi's p of every two ranked arms."""
    ranking = summary.ranking
    if ranking.critical_difference is None:
        return None
    ranks: Mapping[str, float] = dict(zip(ranking.arms, ranking.ranks, strict=True))
    pairs: Sequence[tuple[str, str]] = list(itertools.combinations(ranking.arms, 2))
    rows = [
        (f"{a} – {b}", number(ranks[a], 2), number(ranks[b], 2), probability(p))
        for (a, b), p in zip(pairs, ranking.nemenyi, strict=True)
    ]
    columns = ("arms", "rank of the first", "rank of the second", "p (Nemenyi)")
    return Table(title="Mean ranks compared", columns=columns, rows=rows)


def pair_words(summary: Summary) -> str:
    """What the tests of every two arms found, in a sentence or two."""
    tested = [pair for pair in summary.pairs if pair.adjusted is not None]
    if not tested:
        return f"No two arms have {MIN_SEEDS} seeds done, so nothing is tested."
    found = sum(pair.verdict == "significant" for pair in tested)
    weak = sum((pair.smallest or 0) > LEVEL for pair in tested)
    verb = "is" if found == 1 else "are"
    words = f"Of {len(tested)} differences tested, {found} {verb} significant."
    if weak:
        words += f" {weak} can't be, with so few seeds, however clear the difference is."
    able = [pair.smallest for pair in tested if pair.smallest and pair.smallest <= LEVEL]
    if able and len(tested) * min(able) > LEVEL:
        words += (
            f" Holm's correction asks p below {LEVEL / len(tested):.4f} of the first of "
            f"{len(tested)} tests; the smallest possible here is {min(able):.4f}. More seeds or "
            "fewer arms would tell more."
        )
    return words


def rank_words(summary: Summary) -> str:
    """What Friedman's test found, or why there is none."""
    ranking = summary.ranking
    ranked = {arm.arm for arm in summary.arms if arm.kind in (SEARCH, BASELINE)}
    left = sorted(ranked - set(ranking.arms))
    out = f" Not ranked, for too few seeds: {', '.join(left)}." if left and ranking.arms else ""
    if len(ranking.arms) < 3:
        return f"Fewer than three arms share a seed; there is no test of ranks.{out}"
    blocks = f"{len(ranking.arms)} arms over {len(ranking.blocks)} shared seeds"
    if ranking.p is None:
        return f"Ranks of {blocks}: no test (fewer than {MIN_SEEDS} seeds).{out}"
    word = "differ" if ranking.p <= LEVEL else "don't differ significantly"
    text = (
        f"Friedman's test of {blocks}: χ² = {ranking.statistic:.2f}, p = "
        f"{probability(ranking.p)}; mean ranks {word}.{out}"
    )
    if ranking.critical_difference is None:
        return f"{text} Nemenyi's test and its diagram take {MIN_BLOCKS} shared seeds or more."
    if ranking.p > LEVEL:
        text += " What Nemenyi's test says of pairs is then no finding."
    return f"{text} Nemenyi's critical difference of mean ranks: {ranking.critical_difference:.2f}."
