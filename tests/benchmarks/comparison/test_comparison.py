"""A comparison from plan to records, all in this process: what runs, with which flags, and when."""

import dataclasses
import json
import re

import numpy as np
import pytest

from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.files.genotype_files import read_genotype
from tests.benchmarks.comparison.comparisons import compare
from tests.scripts.runs import Toy

pytestmark = pytest.mark.long
BUFFERS = "running_mean", "running_var", "num_batches_tracked"
ARMS = {"methods": "darts,random,random_average,one_architecture", "baselines": "DanQ"}


@pytest.fixture(scope="module")
def done(toy):
    """A finished comparison: its folder, its records, and what ran."""
    folder = toy.folder / "compare"
    return folder, *compare(toy, folder, **ARMS)


def trained_numbers(path):
    """How many numbers of a model are trained, by what its file holds."""
    weights = load_weights(path)["weights"]
    return sum(w.numel() for name, w in weights.items() if not name.endswith(BUFFERS))


def words(lines, script):
    return [line for line in lines if line[0].endswith(script)]


def test_every_run_is_done_and_measured(done):
    folder, records, _ = done
    assert [(r.arm, r.kind, r.seed) for r in records] == [
        (arm, kind, seed)
        for arm, kind in (
            ("darts", "search"), ("random", "search"),
            ("random_average", "random_average"), ("one_architecture", "one_architecture"),
            ("DanQ", "baseline"),
        )
        for seed in (0, 1)
    ]  # fmt: skip
    for record in records:
        assert record.status == "done", record.reason
        assert 0 <= record.test_auroc <= 1
        assert 0 <= record.test_auprc <= 1
        assert record.multiply_adds > 1000
        run = folder / "runs" / record.arm / f"seed-{record.seed}"
        taken = json.loads((run / "run.json").read_text())["steps"]
        assert 0 < record.inference_seconds < taken["measure"]["seconds"]
        training = "baseline" if record.kind == "baseline" else "final"
        assert record.parameters == trained_numbers(run / training / "model-run.pth")
        assert 0 < record.final_seconds < taken[training]["seconds"]
        assert len(record.targets) == 5
        searched = record.kind == "search"
        assert (record.search_seconds is not None) == searched
        assert (record.sequences is not None) == searched
        assert bool(record.anytime) == searched
        assert (record.genotype is None) == (record.kind == "baseline")


def test_records_hold_what_the_test_wrote(done):
    folder, records, _ = done
    record = records[0]
    test = folder / "runs" / "darts" / "seed-0" / "test"
    metrics = json.loads((test / "metrics_test-run.json").read_text())
    assert record.test_auprc == metrics["summary"]["mean_auprc"]
    assert record.test_auroc_median == metrics["summary"]["median_auroc"]
    labels = np.load(test / "labels_test-run.npy")
    assert [t["positives"] for t in record.targets] == labels.sum(axis=0).tolist()
    best = [score for _, score in record.anytime]
    assert best == sorted(best)
    last, _ = record.anytime[-1]  # both are sums of seconds with three decimals
    assert round(last, 3) <= round(record.search_seconds, 3)


def test_the_test_set_is_read_once_per_finished_network(done):
    _, _, lines = done
    assert len(words(lines, "test_finalArchitecture.py")) == 8
    assert len(words(lines, "train_baseline.py")) == 2
    assert len(words(lines, "train_genomicDARTS.py")) == 1 + 2  # the calibration, two seeds


def test_all_found_networks_are_trained_alike(done):
    _, _, lines = done
    own = {"--save_dir", "--genotype_file", "--seed"}
    kept = {
        tuple(word for word in line if word.split("=")[0] not in own)
        for line in words(lines, "train_finalArchitecture.py")
    }
    assert len(kept) == 1
    assert "--epochs=2" in kept.pop()


def test_a_seed_of_every_arm_comes_before_the_next_seed(done):
    _, _, lines = done
    trained = words(lines, "train_finalArchitecture.py")
    seeds = [re.search(r"seed-(\d)", " ".join(line))[1] for line in trained]
    assert seeds == ["0"] * 4 + ["1"] * 4


def test_random_architectures_are_drawn_apart(done):
    _, records, _ = done
    drawn = genotypes(records, "random_average")
    assert drawn[0] != drawn[1]
    one, again = genotypes(records, "one_architecture")
    assert one == again
    assert one not in drawn


def genotypes(records, arm):
    return [read_genotype(r.genotype).to_json() for r in records if r.arm == arm]


def test_one_architecture_differs_by_its_seed_alone(done):
    _, records, _ = done
    first, other = (r for r in records if r.arm == "one_architecture")
    assert first.test_auprc != other.test_auprc
    assert first.parameters == other.parameters


def test_the_plan_gives_all_searches_the_budget(done):
    folder, records, _ = done
    plan = json.loads((folder / "plan.json").read_text())
    for name in ("darts", "random"):
        assert plan["arms"][name]["planned"]["epochs"] == 3
    assert plan["fixed"]["--budget"] == 3
    assert {"code version", "kind of device", "data of --test_directory"} <= plan["fixed"].keys()
    assert records[0].planned_seconds == plan["arms"]["darts"]["planned"]["seconds"]


def test_the_same_command_does_nothing_twice(done, toy):
    folder, before, _ = done
    again, lines = compare(toy, folder, **ARMS)
    assert lines == []
    assert list(map(dataclasses.asdict, again)) == list(map(dataclasses.asdict, before))


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"final_flags": "--epochs=3"}, "--final_flags"),
        ({"init_channels": 4}, "--init_channels"),
        ({"num_steps": 1}, "--num_steps"),
        ({"budget": 4}, "--budget"),
    ],
)
def test_another_flag_is_refused_by_name(done, toy, flags, name):
    folder, *_ = done
    with pytest.raises(ValueError, match=f"was started with {name}"):
        compare(toy, folder, **ARMS, **flags)


def test_other_data_are_refused_by_name(done, toy, tmp_path):
    folder, *_ = done
    other = Toy.make(tmp_path, num_valid=12, num_test=20, seq_size=40, seed=9)
    with pytest.raises(ValueError, match="was started with data of --train_directory"):
        compare(other, folder, **ARMS)
