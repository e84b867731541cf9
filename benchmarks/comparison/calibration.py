"""What a step of every kind costs, read from the files of a short run of the search itself."""

import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.comparison.arms import ARCHIVE_KIND, PROPOSAL_KIND, RECALIBRATION, Search
from benchmarks.comparison.work import Cost, Sizes
from generalNAS_tools.files.atomic_files import reading
from generalNAS_tools.workers.processes import SAVE
from generalNAS_tools.workers.tasks import read_history

Row = dict[str, str]

_LEVELS = ("stage", "round", "iteration", "phase", "candidate")
"""Columns of a history that tell what is trained apart; an epoch is counted within them."""
CALIBRATED = {"report_validation": 2, "restart": True}
"""Flags of a calibration: rows with and without a validation tell what one costs."""
_LONG = 50
"""A scale at which a search has epochs of every kind."""


def costs_of(folder: Path, search: Search, sizes: Sizes) -> dict[str, Cost]:
    """Costs by kind from the history of a calibration.

    The first epoch of each stage, round or candidate is left out, as it warms up. What is left
    is the median within them and the mean over them, as candidates differ.
    """
    rows = read_history(folder)
    steps = kinds_of(search, sizes)
    groups = [list(group) for _, group in itertools.groupby(rows, key=_level)]
    trained: dict[str, list[float]] = defaultdict(list)
    validated: dict[str, list[float]] = defaultdict(list)
    for group in groups:
        named = [(_kind(row, i, search), row) for i, row in enumerate(group)][1:]
        for kind in dict.fromkeys(name for name, _ in named):
            for rate, wanted in ((trained, False), (validated, True)):
                seconds = [
                    float(row["seconds"])
                    for name, row in named
                    if name == kind and bool(row.get("valid_loss")) is wanted
                ]
                rate[kind] += [statistics.median(seconds)] if seconds else []
    costs = {}
    for kind in trained:
        epoch = statistics.fmean(trained[kind])
        valid = statistics.fmean(validated[kind]) - epoch if validated[kind] else 0.0
        costs[kind] = Cost(epoch / steps[kind], max(0.0, valid) / sizes.batches())
    return costs | _archive_costs(folder, groups, sizes)


def read_archive(folder: Path) -> list[dict[str, Any]]:
    """The scored architectures of a search that keeps them; empty for others.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / f"archive-{SAVE}.jsonl"
    if not path.exists():
        return []
    with reading(path, "an archive"):
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        entries = [json.loads(line) for line in whole.splitlines()]
        for entry in entries:
            entry["iteration"], float(entry["seconds"]), float(entry["auprc"] or 0)
        return entries


def _archive_costs(folder: Path, groups: Iterable[list[Row]], sizes: Sizes) -> dict[str, Cost]:
    """What scoring a subnet costs a batch, and what choosing the next architectures costs."""
    entries = read_archive(folder)
    if not entries:
        return {}
    score = statistics.median(entry["seconds"] for entry in entries)
    proposals = []
    for before, group in itertools.pairwise(groups):
        if before[0]["iteration"] != group[0]["iteration"]:
            between = [e for e in entries if str(e["iteration"]) == before[0]["iteration"]]
            usual = statistics.median(float(row["seconds"]) for row in group[1:])
            spent = float(group[0]["seconds"]) - usual - sum(e["seconds"] for e in between)
            proposals.append(max(0.0, spent))
    each = statistics.fmean(proposals) if proposals else 0.0
    batches = RECALIBRATION + sizes.batches()
    return {ARCHIVE_KIND: Cost(0.0, score / batches), PROPOSAL_KIND: Cost(0.0, each)}


def kinds_of(search: Search, sizes: Sizes) -> dict[str, float]:
    """Steps of an epoch by kind."""
    parts = [part for shape in search.shapes(_LONG, sizes) for part in shape.parts]
    return {part.kind: part.steps / part.epochs if part.epochs else 0.0 for part in parts}


def _level(row: Row) -> tuple[str | None, ...]:
    return tuple(row.get(name) for name in _LEVELS)


def _kind(row: Row, number: int, search: Search) -> str:
    """The kind of an epoch that is the `number`-th of its stage, round or candidate."""
    names = [f"{level} {row[level]}" for level in ("stage", "round") if level in row]
    names += [row["phase"]] if "phase" in row else []
    names += ["candidate"] if "candidate" in row else []
    if "frozen_epochs" in search.calibration:
        names.append("frozen" if number < search.calibration["frozen_epochs"] else "alpha")
    return " ".join(names)
