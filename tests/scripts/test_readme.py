"""Every command in README and docs/long_runs.md runs, with this test's paths and budgets.

So does the demo.
"""

import re
import shlex
import subprocess
import sys

import pytest

from tests.scripts.runs import GENOTYPE, ROOT, run_here, write_genotype

SMALL = {
    "init_channels": 2,
    "layers": 2,
    "num_steps": 2,
    "batch_size": 8,
    "epochs": 2,
    "frozen_epochs": 1,
    "num_samples": 4,
    "iterations": 1,
    "budget": 1,
    "pretrain_epochs": 1,
    "num_init_archs": 20,
    "num_ops": 13,
    "train_supernet_epochs": 1,
    "gcn_epochs": 2,
    "generate_num": 6,
    "bo_sample_num": 3,
}
COMPARISON = "benchmarks/compare_searches.py"
PLANNED = ["--methods=random_average", "--baselines=", "--plan_only", "--devices=cpu"]
README, LONG_RUNS = "README.md", "docs/long_runs.md"


def commands(page, start="python "):
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    # Those that make a bundle need a genome: tests/data_generators/test_own_data_page.py.
    return [line for line in lines if line.startswith(start) and "make_bundle" not in line]


def demo_commands():
    result = subprocess.run(
        ["make", "-n", "-o", ".venv/installed", "demo"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = result.stdout.replace("\\\n", " ").splitlines()
    return [line.replace(".venv/bin/", "", 1) for line in lines if ".py" in line]


def run(command, toy, folder):
    """Runs a command with its results in `folder`, on the toy data."""
    _, script, *line = adapted(command, toy, folder)
    # Others test workers and SLURM; here, whether these are commands.
    line = [re.sub(r"^--workers=.*", "--workers=1", word) for word in line]
    slurm = ("--cluster=", "--partition=", "--gpus=", "--sbatch=")
    line = [word for word in line if not word.startswith(slurm)]
    if script == COMPARISON:  # tests/benchmarks runs it
        return run_here(script, [*line, *PLANNED])
    return run_here(script, [*line, *small(script)])


def adapted(command, toy, folder):
    """The words of a command with its results in `folder`, on the toy data."""
    line = shlex.split(command.replace("$DATA", " ".join(toy_data(toy))))
    line = [re.sub(r"=data/\w+/", f"={toy.folder}/data/", part) for part in line]
    return [part.replace("=results/", f"={folder}/") for part in line]


def small(script):
    """Flags that make a script short."""
    flags = [f"--{name}={value}" for name, value in SMALL.items() if takes(script, name)]
    return [*flags, "--device=cpu"]


def takes(script, flag):
    """Whether a script has a numeric flag: it then complains about the value."""
    return f"argument --{flag}: " in run_here(script, [f"--{flag}=nothing"]).stderr


def toy_data(toy):
    return [f"--{name}={path}" for name, path in toy.data_flags().items()]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_genotype(folder / "darts_search" / "darts_geno-darts_1.npy", GENOTYPE)
    return folder


def test_the_readme_names_every_script():
    scripts = {path.name for path in ROOT.glob("train_genomic*.py")}
    named = {shlex.split(command)[1] for command in commands(README)}
    assert scripts <= named


@pytest.mark.parametrize("command", commands(README))
def test_a_command_of_the_readme(command, toy, results):
    outcome = run(command, toy, results)
    assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize("command", commands(LONG_RUNS))
def test_a_command_for_long_runs(command, toy, tmp_path):
    outcome = run(command, toy, tmp_path)
    assert outcome.code == 0, outcome.stderr


def test_tensorboard_finds_what_the_commands_wrote(toy, results):
    (search,) = [line for line in commands(LONG_RUNS) if "--tensorboard" in line]
    assert run(search, toy, results).code == 0
    (command,) = commands(LONG_RUNS, "tensorboard ")
    _, *line = adapted(command.replace("=results", "=results/"), toy, results)
    inspect = [sys.executable, "-m", "tensorboard.main", "--inspect", *line]
    told = subprocess.run(inspect, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "darts_search/tensorboard-darts_1" in told
    assert "valid_auprc" in told


@pytest.mark.long
@pytest.mark.parametrize("command", commands(README, "torchrun "))
def test_a_command_on_several_ranks(command, toy, results):
    _, *line = adapted(command.replace("node=4", "node=2"), toy, results)
    script = next(word for word in line if word.endswith(".py"))
    launch = [sys.executable, "-m", "torch.distributed.run"]
    done = subprocess.run(
        [*launch, *line, *small(script)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (results / "darts_search" / "darts_geno-darts_4.npy").is_file()


def test_the_demo(toy, tmp_path):
    commands = demo_commands()
    assert len(commands) == 3
    for command in commands:
        outcome = run(command, toy, tmp_path)
        assert outcome.code == 0, outcome.stderr
    assert (tmp_path / "demo" / "metrics_test-test.json").is_file()
