"""Budgets become flags: the seed's commands at their cost, and no arm far from any budget."""

import itertools

import pytest

from benchmarks.comparison.arms import SEARCHES, all_shapes, kind_of_arm
from benchmarks.comparison.calibration import kinds_of
from benchmarks.comparison.options import ComparisonOptions
from benchmarks.comparison.plan import TOLERANCE, fit, planned
from benchmarks.comparison.work import UNITS, Cost, Part, Shape, Sizes, amount, training
from randomSearch_and_Hyperband_Tools.halving import halving_plan, plan_epochs
from tests.scripts.in_process import ROOT

SEED_HALVINGS = plan_epochs(halving_plan(25, budget=3, iterations=3))
SIZES = Sizes(num_train=100_000, num_valid=4000, batch_size=64, num_steps=1000)


def costs(search, *, step=1.0, batch=0.25):
    kinds = {part.kind for shape in search.shapes(50, SIZES) for part in shape.parts}
    return dict.fromkeys(kinds, Cost(step, batch))


def shapes(name, count=40):
    return list(itertools.islice(all_shapes(SEARCHES[name], SIZES), count))


def test_every_search_of_the_project_is_an_arm():
    scripts = {path.name for path in ROOT.glob("train_genomic*.py")}
    assert {search.script for search in SEARCHES.values()} == scripts


def test_what_an_arm_is():
    assert [kind_of_arm(name) for name in ("osp", "DanQ", "random_average")] == [
        "search", "baseline", "random_average",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no arm is called 'dart'; expected darts, pdarts"):
        kind_of_arm("dart")


@pytest.mark.parametrize(
    ("name", "epochs", "flags"),
    [
        ("darts", 50, {"epochs": 50, "frozen_epochs": 5}),
        ("pdarts", 75, {"epochs": [25, 25, 25], "frozen_epochs": [10, 10, 10]}),
        ("cwp_darts", 55, {"epochs": [25, 15, 15], "frozen_epochs": [15, 3, 3]}),
        ("osp", 95, {"budget": 5, "pretrain_epochs": 10, "epochs": 60, "num_ops": 7}),
        ("bonas", 180, {"epochs": 60, "bo_sample_num": 60, "train_supernet_epochs": 15}),
        ("random", 140, {"num_samples": 20, "epochs": 7}),
        (
            "hyperband",
            SEED_HALVINGS,
            {"num_samples": 25, "budget": 3, "iterations": 3, "epochs": 20},
        ),
    ],
)
def test_the_commands_of_the_seed_are_among_the_shapes(name, epochs, flags):
    found = [
        shape for same in shapes(name, 80) for shape in same if flags.items() <= shape.flags.items()
    ]
    assert len(found) == 1
    assert amount(found[0], "epochs", {}) == pytest.approx(epochs)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_larger_scale_takes_more(name):
    for unit in UNITS:
        taken = [min(amount(s, unit, costs(SEARCHES[name])) for s in same) for same in shapes(name)]
        assert all(a < b for a, b in itertools.pairwise(taken)), unit


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("unit", UNITS)
def test_every_arm_comes_near_a_budget(name, unit):
    search = SEARCHES[name]
    one = amount(shapes("darts")[0][0], unit, costs(SEARCHES["darts"]))
    for budget in (60 * one, 77 * one, 300 * one):
        options = {"unit": unit, "costs": costs(search), "sizes": SIZES}
        shape = fit(search, name, budget=budget, **options)
        assert amount(shape, unit, costs(search)) == pytest.approx(budget, rel=TOLERANCE)


def test_a_budget_too_small_is_refused_by_what_it_would_take():
    search = SEARCHES["osp"]
    options = {"unit": "epochs", "costs": costs(search), "sizes": SIZES}
    with pytest.raises(ValueError, match=r"--budget 2: osp can't be that short.*takes 3 epochs"):
        fit(search, "osp", budget=2, **options)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_budget_too_large_is_refused_at_once(name):
    search = SEARCHES[name]
    options = {"unit": "epochs", "costs": {}, "sizes": SIZES}
    with pytest.raises(
        ValueError, match=rf"--budget 1e\+18: more than {name} can use; its longest"
    ):
        fit(search, name, budget=1e18, **options)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"budget": 0.0}, "--budget 0: expected more than 0"),
        ({"budget": 1.0, "methods": ","}, "--methods ',': expected an arm, here or in --baselines"),
    ],
)
def test_a_comparison_of_nothing_is_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        ComparisonOptions(**flags)
    assert ComparisonOptions(methods=",", baselines="DanQ", budget=1.0).arms() == ["DanQ"]


def test_costs_by_hand():
    sizes = Sizes(num_train=100, num_valid=25, batch_size=10, num_steps=4)
    part = training("alpha", 3, sizes, passes=2)
    assert part == Part("alpha", epochs=3, steps=12, batches=9, sequences=240)
    shape = Shape({"epochs": 3}, [part])
    assert amount(shape, "seconds", {"alpha": Cost(2.0, 0.5)}) == 12 * 2 + 9 * 0.5
    assert planned(shape, {"alpha": Cost(2.0, 0.5)}) == {
        "flags": {"epochs": 3},
        "planned": {"seconds": 28.5, "sequences": 240, "epochs": 3},
    }


def test_a_set_smaller_than_a_batch_makes_one_short_step():
    sizes = Sizes(num_train=15, num_valid=25, batch_size=10, num_steps=4)
    part = training("subnets", 3, sizes, larger=2)
    assert part == Part("subnets", epochs=3, steps=3, batches=6, sequences=45)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_calibration_shows_every_kind_that_a_shape_is_made_of(name):
    search = SEARCHES[name]
    wanted = {part.kind for same in shapes(name) for shape in same for part in shape.parts}
    assert wanted == set(kinds_of(search, SIZES))
