"""The commands of docs/benchmark.md run as they are written, on less data and a smaller budget."""

import shlex

import pytest

from tests.benchmarks.comparison.comparisons import SMALL, compare
from tests.scripts.test_readme import commands

pytestmark = pytest.mark.long


@pytest.mark.parametrize("command", commands("docs/benchmark.md"))
def test_a_command_of_the_page(command, toy, tmp_path):
    flags = dict(word[2:].split("=", 1) for word in shlex.split(command)[2:])
    del flags["save_dir"]
    less = {"seeds": 1, "budget": 6, "baselines": "DanQ"}  # toy is too short for DeepSEA
    for name in ("final_flags", "baseline_flags"):
        less[name] = f"{flags[name]} --num_steps=2 --epochs=1"
    records, _ = compare(toy, tmp_path, **flags | toy.data_flags() | SMALL | less)
    assert {record.arm for record in records} == {*flags["methods"].split(","), "DanQ"}
    assert {record.status for record in records} == {"done"}, [r.reason for r in records]
