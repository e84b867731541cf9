"""Finished runs that a comparison's last report still lists when their folders are gone."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.comparison.one_run import Run
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.records import RunRecord
from generalNAS_tools.files.atomic_files import reading
from generalNAS_tools.workers.tasks import FINISHED, read_state

_WORDS = {"arm", "kind", "status", "reason"}
_Key = tuple[str, int]
_Targets = Mapping[_Key, Sequence[Mapping[str, Any]]]


def reported(runs: Sequence[Run], plan: Plan) -> dict[_Key, RunRecord]:
    """Records of the runs that the report in the comparison's folder is all that is left of.

    Args:
        runs: of the comparison.
        plan: of the comparison; a report or an arm that was planned otherwise doesn't count.

    Raises:
        ValueError: the report is damaged.
    """
    path = plan.path.with_name("compare.json")
    if not path.exists():
        return {}
    with reading(path, "a report of a comparison"):
        state = json.loads(path.read_text(encoding="utf-8"))
        facts = state["facts"]
        if any(
            facts.get(name) != value
            for name, value in [*plan.fixed.items(), ("threads", plan.threads)]
        ):
            return {}
        arms = {name for name, arm in plan.arms.items() if facts["arms"].get(name) == arm}
        gone = {(r.arm, r.seed) for r in runs if r.arm in arms and not read_state(r.folder)}
        rows = {(row["arm"], row["seed"]): row for row in state["runs"]}
        targets = _targets(path.with_name("targets.csv"))
        return {
            key: _record(rows[key], path.parent, targets[key])
            for key in sorted(gone & rows.keys())
            if rows[key]["status"] in FINISHED
        }


def _record(
    row: Mapping[str, Any], folder: Path, targets: Sequence[Mapping[str, Any]]
) -> RunRecord:
    plain = {field.name for field in fields(RunRecord)} - {"targets", "anytime", "genotype"}
    for name in plain:
        if not isinstance(row[name], str if name in _WORDS else int | float | None):
            raise ValueError(f"{name} {row[name]!r}")
    return RunRecord(
        **{name: row[name] for name in plain},
        targets=tuple(targets),
        anytime=tuple((float(seconds), float(score)) for seconds, score in row["anytime"]),
        genotype=None if row["genotype"] is None else folder / row["genotype"],
    )


def _targets(path: Path) -> _Targets:
    """Rows of a targets.csv by arm and seed; none without the file."""
    found: dict[_Key, list[dict[str, Any]]] = defaultdict(list)
    if path.exists():
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            scores = {name: float(row[name]) if row[name] else None for name in ("auroc", "auprc")}
            counts = {name: int(row[name]) for name in ("target", "positives")}
            found[row["arm"], int(row["seed"])].append(
                {"category": row["category"], **counts, **scores}
            )
    return found
