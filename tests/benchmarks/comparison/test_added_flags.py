"""Added flags reach the scripts unless the comparison sets them itself."""

import shlex

import pytest

from benchmarks.comparison.added_flags import check_added
from benchmarks.comparison.options import ComparisonOptions
from tests.scripts.test_readme import commands


@pytest.mark.parametrize(
    ("where", "text", "names"),
    [
        ("search", "--cnn_lr=1 --epochs=3 --report_validation 1", "--epochs, --report_validation"),
        ("search", "--no-restart", "--no-restart"),
        ("search", "--layers=2 --super_batch_size=8", "--layers, --super_batch_size"),
        ("final", "--seed=1 --save_dir x --epochs=3", "--seed, --save_dir"),
        ("baseline", "--batch_size=8 --num_steps=2 --model=DanQ", "--batch_size, --model"),
    ],
)
def test_flags_that_a_comparison_sets_are_refused_by_name(where, text, names):
    chosen = ComparisonOptions(budget=1.0, **{f"{where}_flags": text})
    with pytest.raises(ValueError, match=f"^--{where}_flags .* there is {names}$"):
        check_added(chosen, ["darts", "bonas", "DanQ"])


def test_a_text_that_is_no_words_is_refused():
    chosen = ComparisonOptions(budget=1.0, final_flags="--epochs='2")
    with pytest.raises(ValueError, match=r"--final_flags .*No closing quotation"):
        check_added(chosen, ["darts"])


@pytest.mark.parametrize("command", commands("docs/benchmark.md"))
def test_the_commands_of_the_page_pass(command):
    flags = dict(word[2:].split("=", 1) for word in shlex.split(command)[2:])
    added = {name: text for name, text in flags.items() if name.endswith("_flags")}
    chosen = ComparisonOptions(budget=1.0, methods=flags["methods"], **added)
    check_added(chosen, chosen.arms())
