"""Finished runs that a comparison's last report still lists when their folders are gone."""

import csv
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.comparison.one_run import Run, run_folder
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.records import RunRecord
from generalNAS_tools.files.atomic_files import reading
from generalNAS_tools.workers.tasks import FINISHED

log = logging.getLogger(__name__)

_WORDS = {"status", "reason"}
_OTHERS = {"arm", "kind", "seed", "targets", "anytime", "genotype"}
"""Fields that the run itself says, or that aren't one word or number."""
_LARGEST = 1e18
"""Above all numbers of a run; not a number and infinity aren't below it."""
_Key = tuple[str, int]
_Targets = Mapping[_Key, Sequence[Mapping[str, Any]]]


def reported(runs: Sequence[Run], plan: Plan) -> dict[_Key, RunRecord]:
    """Records of the runs that the report in the comparison's folder is all that is left of.

    Args:
        runs: that the next report is of.
        plan: of the comparison.

    Raises:
        ValueError: the report is damaged, or the next one would lose such a run.
    """
    path, kept, lost = plan.path.with_name("compare.json"), {}, []
    if not path.exists():
        return {}
    targets = _targets(path.with_name("targets.csv"))
    ours = {(run.arm, run.seed): run for run in runs}
    with reading(path, "a report of a comparison"):
        state = json.loads(path.read_text(encoding="utf-8"))
        facts = state["facts"]
        same = facts | plan.fixed | {"threads": plan.threads} == facts
        for row in state["runs"]:
            arm, seed = row["arm"], row["seed"]
            if row["status"] not in FINISHED or run_folder(path.parent, arm, seed).exists():
                continue
            if same and (arm, seed) in ours and facts["arms"][arm] == plan.arms[arm]:
                kept[arm, seed] = _record(ours[arm, seed], row, path.parent, targets)
            else:
                lost.append(f"{arm} seed {seed}")
    if lost:
        raise ValueError(
            f"{path} is all that is left of {', '.join(lost)}, of other --seeds, --methods or "
            f"another plan than now; give those, or move the file away to do without"
        )
    if any(record.status == "done" and not record.targets for record in kept.values()):
        log.warning("%s: not of all runs; categories leave them out", path.with_name("targets.csv"))
    return kept


def _record(run: Run, row: Mapping[str, Any], folder: Path, targets: _Targets) -> RunRecord:
    cells = {
        field.name: row[field.name] for field in fields(RunRecord) if field.name not in _OTHERS
    }
    for name, value in cells.items():
        good = isinstance(value, str) if name in _WORDS else value is None or _is_number(value)
        if not good:
            raise ValueError(f"{name} {value!r}")
    if not all(_is_number(value) for point in row["anytime"] for value in point):
        raise ValueError("anytime holds more than numbers")
    return RunRecord(
        **cells,
        arm=run.arm,
        kind=run.kind,
        seed=run.seed,
        targets=tuple(targets[run.arm, run.seed]),
        anytime=tuple((seconds, score) for seconds, score in row["anytime"]),
        genotype=None if row["genotype"] is None else folder / row["genotype"],
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _LARGEST


def _targets(path: Path) -> _Targets:
    """Rows of a targets.csv by arm and seed; none without the file."""
    found: dict[_Key, list[dict[str, Any]]] = defaultdict(list)
    with reading(path, "the table of targets of a comparison"):
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for row in csv.DictReader(lines):
            scores = {name: float(row[name]) if row[name] else None for name in ("auroc", "auprc")}
            counts = {name: int(row[name]) for name in ("target", "positives")}
            found[row["arm"], int(row["seed"])].append(
                {"category": row["category"], **counts, **scores}
            )
    return found
