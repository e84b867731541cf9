"""What the runs of a comparison wrote, as records for its report."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison.calibration import Row, read_archive
from benchmarks.comparison.one_run import Run
from benchmarks.comparison.records import BASELINE, SEARCH, RunRecord
from generalNAS_tools.files.atomic_files import reading
from generalNAS_tools.training.metrics import DEEPSEA_CATEGORIES, DEEPSEA_TARGETS
from generalNAS_tools.workers.processes import SAVE
from generalNAS_tools.workers.tasks import HISTORY, read_history, read_state

_MEASURED = ("parameters", "multiply_adds", "inference_seconds")


def record_of(run: Run, planned: Mapping[str, float]) -> RunRecord:
    """The record of a run, whatever became of it.

    Args:
        run: done, failed, or not begun.
        planned: amounts of its search by unit; empty where there is none.
    """
    state = read_state(run.folder)
    status = state.get("status", "missing")
    if status == "stopped":
        status, state["reason"] = "running", "stopped; the same command goes on"
    search = run.folder / "search"
    searched = run.kind == SEARCH and run.genotype.exists()
    figures = _tested(run) if status == "done" else {}
    return RunRecord(
        arm=run.arm,
        kind=run.kind,
        seed=run.seed,
        status=status,
        reason=state.get("reason", ""),
        search_seconds=search_seconds(search, state) if searched else None,
        planned_seconds=planned.get("seconds"),
        final_seconds=_total(read_history(run.final)),
        sequences=round(planned["sequences"]) if searched and planned else None,
        anytime=_anytime(search),
        genotype=_genotype(run),
        **figures,
    )


def search_seconds(folder: Path, state: Mapping[str, Any]) -> float:
    """Device-seconds of a search: its epochs, and what it validated after the last one.

    An epoch's seconds hold what was done since the one before; interruptions are left out.
    """
    seconds = _total(read_history(folder)) or 0.0
    entries = read_archive(folder)
    if entries:
        return seconds + math.fsum(
            entry["seconds"] for entry in entries if entry["iteration"] == entries[-1]["iteration"]
        )
    removals = folder / f"removals-{SAVE}.csv"
    if removals.exists():
        after = removals.stat().st_mtime - (folder / f"checkpoint-{SAVE}.pt").stat().st_mtime
        longest = state.get("steps", {}).get("search", {}).get("seconds", math.inf)
        seconds += min(max(0.0, after), longest)
    return seconds


def _tested(run: Run) -> dict[str, Any]:
    """Fields of a run that is done."""
    measures, history = run.folder / "measure" / "measured.json", run.final / HISTORY
    with reading(measures, "the measures of a network"):
        measured = json.loads(measures.read_text(encoding="utf-8"))
        sizes = {name: measured[name] for name in _MEASURED}
    validated = [row for row in read_history(run.final) if row.get("valid_loss")]
    with reading(history, "a history"):
        best = min(validated, key=lambda row: float(row["valid_loss"]), default={})
        valid = {name: _number(best.get(name)) for name in ("valid_auroc", "valid_auprc")}
    labels = run.metrics.with_name(f"labels_test-{SAVE}.npy")
    with reading(labels, "the labels of a test set"):
        positives = np.load(labels, mmap_mode="r", allow_pickle=False).sum(axis=0)
    with reading(run.metrics, "the metrics of a test"):
        metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
        summary = metrics["summary"]
        return {
            **sizes,
            **valid,
            "test_loss": metrics["test_loss"],
            **{f"test_{name}": summary[f"mean_{name}"] for name in ("auroc", "auprc")},
            **{f"test_{name}_median": summary[f"median_{name}"] for name in ("auroc", "auprc")},
            "targets": _targets(metrics, positives),
        }


def _targets(
    metrics: Mapping[str, Any], positives: NDArray[np.int64]
) -> tuple[dict[str, Any], ...]:
    categories = DEEPSEA_CATEGORIES if len(positives) == DEEPSEA_TARGETS else {}
    return tuple(
        {
            "target": number,
            "category": next((name for name, own in categories.items() if number in own), ""),
            "positives": int(count),
            "auroc": metrics["auroc"][number],
            "auprc": metrics["auprc"][number],
        }
        for number, count in enumerate(positives)
    )


def _anytime(folder: Path) -> tuple[tuple[float, float], ...]:
    """(device-seconds, best validation AUPRC so far) whenever something was validated."""
    rows, entries = read_history(folder), read_archive(folder)
    clock = list(accumulate(float(row["seconds"]) for row in rows))
    with reading(folder / HISTORY, "a history"):
        points = _scored_later(entries, rows, clock) or [
            (seconds, float(row["valid_auprc"]))
            for seconds, row in zip(clock, rows, strict=True)
            if row["valid_auprc"]
        ]
    best = accumulate((score for _, score in points), max)
    return tuple(zip((seconds for seconds, _ in points), best, strict=True))


def _scored_later(
    entries: Sequence[Mapping[str, Any]], rows: Sequence[Row], clock: Sequence[float]
) -> list[tuple[float, float]]:
    """Points of a search that scores its architectures after the epochs of an iteration."""
    ends = {row.get("iteration"): time for row, time in zip(rows, clock, strict=True)}
    points, since = [], dict.fromkeys(ends, 0.0)
    for entry in entries:
        iteration = str(entry["iteration"])
        since[iteration] += entry["seconds"]
        if entry["auprc"] is not None:
            points.append((ends[iteration] + since[iteration], entry["auprc"]))
    return points


def _total(rows: Sequence[Row]) -> float | None:
    return math.fsum(float(row["seconds"]) for row in rows) if rows else None


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _genotype(run: Run) -> Path | None:
    return run.genotype if run.kind != BASELINE and run.genotype.exists() else None
