"""The numbers of a report as files for other programs: JSON and CSV."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.checklist import Answer
from benchmarks.comparison.records import RunRecord
from benchmarks.comparison.summary import Summary

_OTHER_FILES = {"targets", "anytime"}
"""Fields of a record that are no cell of runs.csv."""
TARGET_COLUMNS = ("arm", "seed", "target", "category", "positives", "auroc", "auprc")


def comparison_json(
    summary: Summary, facts: Mapping[str, object], answers: Sequence[Answer], folder: Path
) -> str:
    """All numbers of the report but those of single targets; unknown ones are null."""
    runs = [
        {name: value for name, value in run_cells(record, folder).items()}
        | {"anytime": record.anytime}
        for record in summary.records
    ]
    state = {
        "facts": facts,
        "arms": summary.arms,
        "pairs": [{**pair._asdict(), "verdict": pair.verdict} for pair in summary.pairs],
        "ranking": summary.ranking,
        "non_dominated": [{"arm": r.arm, "seed": r.seed} for r in summary.non_dominated],
        "checklist": answers,
        "runs": runs,
    }
    return json.dumps(plain(state), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def run_cells(record: RunRecord, folder: Path) -> dict[str, Any]:
    """Fields of a run that fit a row; the genotype's path is from the report's folder."""
    cells = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name not in _OTHER_FILES
    }
    if record.genotype is not None and record.genotype.is_relative_to(folder):
        cells["genotype"] = record.genotype.relative_to(folder)
    return cells


def runs_csv(records: Sequence[RunRecord], folder: Path) -> str:
    """One row a run; an unknown value is an empty cell."""
    columns = [f.name for f in dataclasses.fields(RunRecord) if f.name not in _OTHER_FILES]
    return _csv(columns, [run_cells(record, folder) for record in records])


def targets_csv(records: Sequence[RunRecord]) -> str:
    """One row a run and target."""
    rows = [{"arm": r.arm, "seed": r.seed, **target} for r in records for target in r.targets]
    return _csv(TARGET_COLUMNS, rows)


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_stored(facts: Mapping[str, object]) -> dict[str, Any]:
    """Facts as a JSON file gives them back: the same ones before and after they were stored."""
    return plain(json.loads(json.dumps(dict(facts), default=plain)))


def flatten(facts: Mapping[str, object]) -> dict[str, object]:
    """Facts by name, mappings within them one level down, in order of name.

    Args:
        facts: as stored.
    """
    found: dict[str, object] = {}
    for name, value in sorted(facts.items()):
        if isinstance(value, dict):
            found |= {f"{name}: {inner}": own for inner, own in sorted(value.items())}
        else:
            found[name] = value
    return found


def in_words(value: Any) -> str:
    """A plain value for a reader; mappings in order of name."""
    if isinstance(value, dict):
        return "; ".join(f"{name} ({in_words(own)})" for name, own in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "unknown" if value is None else str(value)


def plain(value: Any) -> Any:
    """A value as JSON has it; what isn't finite is unknown."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(name): plain(own) for name, own in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [
            plain(own)
            for own in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
