"""A plan is only added to, may be edited, and refuses by name what may not differ."""

import json

import pytest

from benchmarks.comparison.plan import Plan


def written(folder, **facts):
    plan = Plan(folder)
    plan.check(**facts)
    plan.threads = 2
    plan.arms["darts"] = {"kind": "search", "flags": {"epochs": 7}}
    plan.write()
    return plan


def test_a_plan_is_read_as_it_was_edited(tmp_path):
    plan = written(tmp_path, budget=3)
    text = plan.path.read_text().replace('"epochs": 7', '"epochs": 9')
    plan.path.write_text(text)
    again = Plan(tmp_path)
    assert again.arms == {"darts": {"kind": "search", "flags": {"epochs": 9}}}
    again.write()
    assert json.loads(plan.path.read_text()) == json.loads(text)


def test_what_differs_is_refused_by_name(tmp_path):
    written(tmp_path, **{"code version": "a", "--budget": 3.0})
    plan = Plan(tmp_path)
    plan.check(**{"--budget": 3.0, "kind of device": "cpu"})
    with pytest.raises(ValueError, match=r'plan.json: .*code version "a", now it is "b"'):
        plan.check(**{"code version": "b"})


@pytest.mark.parametrize("text", ["{", "[]", '{"fixed": {}, "threads": 1, "arms": {"a": {}}}'])
def test_a_damaged_plan_is_named(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"plan.json: not a plan, or damaged"):
        Plan(tmp_path)
