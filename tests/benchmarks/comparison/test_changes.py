"""What becomes of a comparison that is extended, edited, failing or moved; in this process."""

import json
import shutil
from unittest import mock

import pytest

from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.runs.run_files import RunFiles
from tests.benchmarks.comparison.comparisons import compare
from tests.scripts.runs import Toy

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy.make(tmp_path_factory.mktemp("toy"), num_valid=12, num_test=20)


def words(lines, script):
    return [line for line in lines if line[0].endswith(script)]


def test_more_seeds_and_arms_extend_a_comparison(toy, tmp_path):
    compare(toy, tmp_path, methods="random_average", seeds=1)
    plan = json.loads((tmp_path / "plan.json").read_text())
    records, lines = compare(toy, tmp_path, methods="random_average,random", seeds=2)
    assert [record.status for record in records] == 4 * ["done"]
    assert len(words(lines, "train_finalArchitecture.py")) == 3
    more = json.loads((tmp_path / "plan.json").read_text())
    assert more["arms"].pop("random")
    assert more == plan


def test_an_edited_plan_is_followed(toy, tmp_path):
    assert compare(toy, tmp_path, methods="darts", seeds=1, plan_only=True)[0] == []
    path = tmp_path / "plan.json"
    path.write_text(path.read_text().replace('"epochs": 3,', '"epochs": 1,'))
    _, lines = compare(toy, tmp_path, methods="darts", seeds=1)
    (search,) = words(lines, "train_genomicDARTS.py")
    assert "--epochs=1" in search


def test_an_older_plan_keeps_its_one_architecture(toy, tmp_path):
    flags = {"methods": "random_average,one_architecture", "seeds": 1}
    compare(toy, tmp_path, **flags, plan_only=True)
    path = tmp_path / "plan.json"
    plan = json.loads(path.read_text())
    plan["arms"]["one_architecture"]["flags"] = {}
    path.write_text(json.dumps(plan))
    records, _ = compare(toy, tmp_path, **flags)
    first, one = (read_genotype(record.genotype) for record in records)
    assert first == one
    assert json.loads(path.read_text()) == plan


def test_runs_whose_folders_are_gone_are_not_run_again(toy, tmp_path):
    flags = {"methods": "random,random_average"}
    compare(toy, tmp_path, **flags, seeds=1)
    shutil.rmtree(tmp_path / "runs")
    reports = [*tmp_path.glob("*.[chjmt]*"), *tmp_path.glob("[pg]*/*")]
    before = {path: path.read_bytes() for path in reports if not path.name.startswith("log")}
    assert len(before) > 12
    _, lines = compare(toy, tmp_path, **flags, seeds=1)
    assert lines == []
    assert {path: path.read_bytes() for path in before} == before
    records, lines = compare(toy, tmp_path, **flags, seeds=2)
    assert [record.status for record in records] == 4 * ["done"]
    assert len(words(lines, "train_finalArchitecture.py")) == 2


def test_a_report_of_what_is_there_runs_nothing(toy, tmp_path):
    """By other code too, and while the comparison itself runs."""
    flags = {"methods": "random_average", "seeds": 1}
    compare(toy, tmp_path, **flags)
    path = tmp_path / "plan.json"
    changed = path.read_text().replace('"code version": "', '"code version": "older ')
    path.write_text(changed)
    running = RunFiles(str(tmp_path), save="compare", method="compare")
    records, lines = compare(toy, tmp_path, **flags | {"seeds": 2}, report_only=True)
    assert [record.status for record in records] == ["done", "missing"]
    assert (lines, path.read_text()) == ([], changed)
    with pytest.raises(ValueError, match=r"--report_only: .*plan.json has no random, darts"):
        compare(toy, tmp_path, methods="random,darts", report_only=True)
    with pytest.raises(ValueError, match="--plan_only and --report_only: give one"):
        compare(toy, tmp_path, methods="random", plan_only=True, report_only=True)
    assert running.owns(running.path("log", "txt"))


@pytest.mark.parametrize("what", ["code version", "kind of device"])
def test_other_code_or_devices_are_refused_by_name(toy, tmp_path, what):
    compare(toy, tmp_path, methods="random_average", seeds=1, plan_only=True)
    path = tmp_path / "plan.json"
    plan = json.loads(path.read_text())
    plan["fixed"][what] = "another"
    path.write_text(json.dumps(plan))
    with pytest.raises(ValueError, match=f"was started with {what}"):
        compare(toy, tmp_path, methods="random_average", seeds=1)


def test_a_failing_arm_leaves_the_rest_standing(toy, tmp_path):
    flags = {"search_flags": "--arch_weight_decay=0.001", "methods": "darts,random,random_average"}
    records, _ = compare(toy, tmp_path, **flags, seeds=1)
    states = {record.arm: (record.status, record.reason) for record in records}
    assert states["darts"][0] == states["random_average"][0] == "done"
    status, reason = states["random"]
    assert status == "failed"
    assert "calibration" in reason
    assert "--arch_weight_decay" in reason


def test_a_calibration_that_breaks_off_leaves_the_rest_standing(toy, tmp_path):
    with mock.patch("benchmarks.comparison.tasks.costs_of", side_effect=OSError("disk full")):
        records, _ = compare(toy, tmp_path, methods="random,random_average", seeds=1)
    assert [record.status for record in records] == ["failed", "done"]
    assert records[0].reason == "calibration: disk full"


def test_a_diverged_run_is_in_the_records_and_not_tried_again(toy, tmp_path):
    flags = {"methods": "random_average", "seeds": 1, "final_flags": "--cnn_lr=1e18"}
    records, _ = compare(toy, tmp_path, **flags)
    assert records[0].status == "diverged"
    assert "final" in records[0].reason
    assert records[0].test_auroc is None
    again, lines = compare(toy, tmp_path, **flags)
    assert lines == []
    assert again == records


def test_a_step_that_failed_is_tried_again_alone(toy, tmp_path):
    flags = {"methods": "random_average", "seeds": 1}
    compare(toy, tmp_path, **flags)
    run = tmp_path / "runs" / "random_average" / "seed-0"
    state = json.loads((run / "run.json").read_text())
    state["status"], state["steps"]["test"]["status"] = "failed", "failed"
    (run / "run.json").write_text(json.dumps(state))
    records, lines = compare(toy, tmp_path, **flags)
    assert [line[0] for line in lines] == ["generalNAS_tools/test_finalArchitecture.py"]
    assert records[0].status == "done"
