"""Command lines of the 2021 system: what each script's defaults are, old names, inert flags."""

import json
import re

import pytest

from generalNAS_tools.runs.old_flags import INERT, OLD_NAMES
from tests.scripts.in_process import run_script
from tests.scripts.runs import FINAL, ROOT, SEARCH, TEST, refusal, run_here

BASELINE = "baseline_models/train_baseline.py"
OSP = "train_genomicOSP_NAS.py"
SEARCHES = sorted(path.name for path in ROOT.glob("train_genomic*.py"))
SCRIPTS = [*SEARCHES, FINAL, TEST, BASELINE]
SAMPLED = ("train_genomicRandom.py", "train_genomicHyperbandNAS.py")
DIFFERENTIABLE = {script for script in SEARCHES if "DARTS" in script}
OWN: dict[str, set[str]] = {script: {"workers", "drop_path_prob"} for script in SAMPLED}
OWN |= {script: {"arch_lr"} for script in DIFFERENTIABLE} | {SEARCH: {"arch_lr", "unrolled"}}
OWN[FINAL] = {"drop_path_prob", "genotype_file"}
"""By script the flags of today that bear an inert one's name; they go first."""
REQUIRED = {
    FINAL: ["--genotype_file=nowhere.npy"],
    TEST: ["--model=nowhere.pth"],
    BASELINE: ["--model=DanQ"],
}


def parsed(script, words):
    """Standard error of a script that gets no further than its first missing file."""
    data = [f"--{name}_directory=nowhere.mat" for name in ("train", "valid", "test")]
    outcome = run_script(script, [*REQUIRED.get(script, []), *data, *words])
    assert outcome.code == 2
    return outcome.stderr.splitlines()


def help_of(script, capsys):
    assert run_script(script, ["--help"]).code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("script", SCRIPTS)
def test_inert_flags_are_one_warning(script):
    """With a value, without, and twice."""
    inert = [name for name in INERT if name not in OWN.get(script, ())]
    words = [word for name in inert for word in (f"--{name}=1", f"--{name}")]
    *warnings, last = parsed(script, [*words, "--gpu", "-1", "--add_layers", "6"])
    assert last.startswith("nowhere.")
    assert len(warnings) == 1
    before, _, named = warnings[0].partition("as in 2021: ")
    assert before.endswith("py: warning: without effect here, ")
    assert named.split(", ") == [f"--{name}" for name in inert]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_hides_what_is_old(script, capsys):
    text = help_of(script, capsys)
    assert "--train_directory" in text
    assert set(re.findall(r"--([\w-]+)", text)) & {*INERT, *OLD_NAMES} == OWN.get(script, set())


def test_without_inert_flags_there_is_no_warning():
    assert len(parsed(SEARCH, [])) == 1


def test_what_is_no_flag_of_2021_is_refused():
    assert "unrecognized arguments: --cuda_" in parsed(SEARCH, ["--cuda_"])[0]
    assert "unrecognized arguments: stray" in parsed(SEARCH, ["--gpu=1", "stray"])[-1]


def test_old_names_set_today_s_flags_and_inert_ones_are_no_configuration(toy, tmp_path):
    plain, old = tmp_path / "plain", tmp_path / "old"
    line = toy.search(plain, epochs=1, num_steps=1)
    assert run_here(SEARCH, line).code == 0
    words = ["--arch_learning_rate=0.5", "--arch_wdecay=0.25", "--wdecay=0.125"]
    words += ["--report_freq=7.0", "--cuda", "--data=x", "--workers=3"]
    line = toy.search(old, epochs=1, num_steps=1)
    assert run_here(SEARCH, [*line, *words]).code == 0
    before, after = (json.loads((f / "config-a.json").read_text()) for f in (plain, old))
    changed = {name: value for name, value in after.items() if before[name] != value}
    del changed["save_dir"]
    expected = {"arch_lr": 0.5, "arch_weight_decay": 0.25, "rhn_weight_decay": 0.125}
    assert changed == expected | {"report_freq": 7}
    assert before.keys() == after.keys()


@pytest.mark.parametrize(
    ("script", "inert"),
    [
        (SEARCH, set()),
        ("train_genomicDEP_DARTS.py", set()),
        (OSP, {"--arch_learning_rate", "--arch_wdecay"}),
        (BASELINE, {"--arch_learning_rate", "--arch_wdecay", "--wdecay"}),
    ],
)
def test_an_old_name_without_a_flag_of_today_is_inert(script, inert):
    lines = parsed(script, [f"--{name}=0.5" for name in OLD_NAMES])
    warned = set(re.findall(r"--\w+", lines[0])) if len(lines) == 2 else set()
    assert warned == inert


def test_values_of_old_names_are_checked():
    assert "--arch_wdecay: '-1' is not a number" in refusal(
        run_script(SEARCH, ["--arch_wdecay=-1"])
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_task_that_2021_never_finished_is_refused(script):
    (line,) = parsed(script, ["--task=next_character_prediction"])
    assert "--task: 'next_character_prediction' was never finished in the 2021 system" in line
    assert line.endswith("expected TF_bindings")


@pytest.mark.parametrize(
    "script", [FINAL, "train_genomicRandom.py", "train_genomicHyperbandNAS.py"]
)
def test_drop_path_leaves_something(script):
    (line,) = parsed(script, ["--drop_path_prob=1.0"])
    assert "--drop_path_prob: '1.0' is not a number ≥ 0 and < 1" in line
    assert parsed(script, ["--drop_path_prob=0.999"])[0].startswith("nowhere.")


@pytest.mark.parametrize("script", [*SEARCHES, FINAL])
def test_defaults_that_differ_by_script(script, capsys):
    text = help_of(script, capsys)
    ends = 0.001 if script == SEARCH else 0.0
    assert f"where the cosine of SGD ends; AdamW's ends at 0 (default: {ends})" in text
    assert f"dropout before the head (default: {0.5 if script == OSP else 0.1})" in text
    assert (script == FINAL) == ("to stop after; 0: off (default: 5)" in text)
