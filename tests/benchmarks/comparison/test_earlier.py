"""Runs whose folders are gone, from the last report: as they were, or a line that says why not."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.comparison.earlier import reported
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.report import write_report
from tests.benchmarks.comparison.record_cases import FACTS, comparison


class Run(NamedTuple):
    """What is asked of a `Run`."""

    arm: str
    kind: str
    seed: int
    folder: Path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A folder with nothing but a report, its records and its plan."""
    folder = tmp_path_factory.mktemp("report")
    records, plan = comparison(3, folder=folder / "elsewhere"), Plan(folder)
    plan.arms = {record.arm: {"kind": record.kind, "flags": {}} for record in records}
    plan.fixed = {name: value for name, value in FACTS.items() if name not in ("arms", "threads")}
    plan.threads = FACTS["threads"]
    write_report(records, folder, plan.fixed | {"threads": 1, "arms": plan.arms})
    return folder, records, plan


@pytest.fixture
def written(report, tmp_path):
    """A copy of the report: its records, its runs and its plan."""
    folder, records, whole = report
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    plan = Plan(tmp_path)
    plan.arms, plan.fixed, plan.threads = dict(whole.arms), dict(whole.fixed), whole.threads
    return records, [run_of(record, tmp_path) for record in records], plan


def run_of(record, folder):
    where = folder / "runs" / record.arm / f"seed-{record.seed}"
    return Run(record.arm, record.kind, record.seed, where)


def test_records_are_as_they_were(written):
    records, runs, plan = written
    found = reported(runs, plan)
    finished = [record for record in records if record.status in ("done", "diverged")]
    assert 0 < len(finished) < len(records)
    assert found.keys() == {(record.arm, record.seed) for record in finished}
    for record in finished:
        copy = plan.path.parent / "genotypes" / f"{record.arm}-{record.seed}.json"
        genotype = copy if record.genotype else None
        assert found[record.arm, record.seed] == dataclasses.replace(record, genotype=genotype)


def test_the_report_of_what_was_reported_is_the_same(written, tmp_path):
    records, runs, plan = written
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in paths]
    kept = reported(runs, plan)
    others = [record for record in records if (record.arm, record.seed) not in kept]
    facts = plan.fixed | {"threads": 1, "arms": plan.arms}
    write_report([*kept.values(), *others], tmp_path, facts)
    assert [path.read_bytes() for path in paths] == before


def test_what_has_a_folder_is_not_taken_from_a_report(written):
    _, runs, plan = written
    for run in runs:
        run.folder.mkdir(parents=True)
    assert reported(runs, plan) == {}
    assert reported(runs[1:], plan) == {}


def test_a_report_that_would_lose_runs_is_refused(written):
    _, runs, plan = written
    everything, first = reported(runs, plan), runs[0]
    error = rf"compare.json is all that is left of {first.arm} seed {first.seed}, of other --seeds"
    with pytest.raises(ValueError, match=error):
        reported(runs[1:], plan)
    first.folder.mkdir(parents=True)
    assert {(first.arm, first.seed), *reported(runs[1:], plan)} == everything.keys()


@pytest.mark.parametrize("what", ["flags", "threads", "fixed"])
def test_runs_of_another_plan_are_not_taken(written, what):
    _, runs, plan = written
    if what == "flags":
        plan.arms["darts"] = {"kind": "search", "flags": {"epochs": 1}}
    elif what == "threads":
        plan.threads = 2
    else:
        plan.fixed["--budget"] = 7
    with pytest.raises(ValueError, match=r"compare.json is all that is left of .*darts seed 0"):
        reported(runs, plan)
    plan.path.with_name("compare.json").unlink()
    assert reported(runs, plan) == {}


def test_a_report_without_targets_says_so(written, caplog):
    _, runs, plan = written
    plan.path.with_name("targets.csv").unlink()
    assert reported(runs, plan)
    assert "targets.csv: not of all runs" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [{"test_auprc": "much"}, {"test_auprc": [1]}, {"reason": None}, {"anytime": [1.0]},
     {"anytime": None}, {"anytime": [["1", 1]]}, {"anytime": [[1, float("nan")]]},
     {"parameters": 10**30}, {"valid_auprc": float("inf")}, {"genotype": {}}, {"genotype": 3},
     {"seed": [0]}, {"arm": None}, {"status": []}],
)  # fmt: skip
def test_a_damaged_run_is_refused(written, damage):
    _, runs, plan = written
    path = plan.path.with_name("compare.json")
    state = json.loads(path.read_text())
    state["runs"][0].update(damage)
    path.write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"compare.json: not a report of a comparison, or damaged"):
        reported(runs, plan)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"facts": {}}', '{"runs": []}'])
def test_a_damaged_report_is_refused(written, text):
    _, runs, plan = written
    plan.fixed, plan.threads = {}, None
    plan.path.with_name("compare.json").write_text(text)
    with pytest.raises(ValueError, match=r"compare.json: not a report of a comparison, or damaged"):
        reported(runs, plan)


def test_a_damaged_table_of_targets_is_refused(written):
    _, runs, plan = written
    path = plan.path.with_name("targets.csv")
    path.write_text(path.read_text().replace(",0.", ",x."))
    with pytest.raises(ValueError, match=r"targets.csv: not the table of targets of a comparison"):
        reported(runs, plan)
