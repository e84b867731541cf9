"""Every script still goes the way it went: rates, gradients, losses, decisions.

Meant changes: `python -m tests.scripts.trajectories --write`, and read the diff.
"""

import json

import pytest
import torch

from tests.scripts.step_spy import StepSpy
from tests.scripts.trajectories import ABSOLUTE, EXPECTED, as_text, differences, record
from tests.scripts.trajectory_runs import RUNS

SHOWN = 12
AREAS = {"pdarts": 0.03}
"""Its network tells some sequences apart by 1e-7 of a logit: rounding decides how they rank."""


def expected(name):
    return json.loads((EXPECTED / f"{name}.json").read_text())


@pytest.mark.parametrize("name", RUNS)
def test_the_trajectory_is_the_expected_one(name, tmp_path):
    area = AREAS.get(name, ABSOLUTE)
    found = differences(expected(name), record(name, tmp_path), area=area)
    assert not found, "\n".join([f"{len(found)} differences", *found[:SHOWN]])


def test_every_file_belongs_to_a_run_and_is_as_it_would_be_written():
    assert {path.stem for path in EXPECTED.iterdir()} == set(RUNS)
    for name in RUNS:
        assert as_text(expected(name)) == (EXPECTED / f"{name}.json").read_text(), name


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": [1, {"b": 0.5}]}, {"a": [1, {"b": 0.500004}]}, []),
        (
            {"a": [1, {"b": 0.5}]},
            {"a": [1, {"b": 0.50001}]},
            ["a.1.b: expected 0.5, found 0.50001"],
        ),
        ({"a": [1, 2]}, {"a": [1]}, ["a.1: expected 2, found absent"]),
        ({"a": [1]}, {"a": [1], "b": None}, ["b: expected absent, found None"]),
        ({"a": 182691}, {"a": 182690}, ["a: expected 182691, found 182690"]),
        ({"a": [["tanh", 0]]}, {"a": [["relu", 0]]}, ["a.0.0: expected tanh, found relu"]),
        ({"a": 0.0}, {"a": 1e-8}, ["a: expected 0.0, found 1e-08"]),
        ({"a": None}, {"a": 0.7}, ["a: expected None, found 0.7"]),
    ],
)
def test_differences(old, new, found):
    assert differences(old, new) == found


def test_what_the_spy_sees_of_two_steps():
    """One weight of 3, gradient 4, momentum 0.5: what is carried is 4, then half of it and 4."""
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.SGD([weight], lr=0.25, momentum=0.5)
    spy = StepSpy()
    with spy.watching():
        for _ in range(3):
            weight.grad = torch.tensor([4.0])
            optimizer.step()
    optimizer.step()  # no longer watched
    assert [step["weights"] for step in spy.steps] == [[3.0], [2.0], [0.5]]
    assert [step["carried"] for step in spy.steps] == [[0.0], [4.0], [6.0]]
    assert {(*step["lr"], *step["gradient"], step["optimizer"]) for step in spy.steps} == {
        (0.25, 4.0, 1)
    }
    assert [(entry["kind"], entry["parameters"]) for entry in spy.optimizers] == [("SGD", [1])]
