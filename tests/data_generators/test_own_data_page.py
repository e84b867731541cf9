"""Every command of docs/own_data.md, and the README's that makes a bundle, on small files."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.data_generators.own_data import make, random_sequence, write_fasta
from tests.scripts.runs import run_here

pytest.importorskip("pysam")
ROOT = Path(__file__).parents[2]
SEARCH = ["--epochs=1", "--init_channels=2", "--layers=2", "--num_steps=2", "--batch_size=4"]


def commands(page):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("python ")]


README = [command for command in commands("README.md") if "make_bundle" in command]
PAGE = commands("docs/own_data.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the page names, small."""
    root = tmp_path_factory.mktemp("own")
    data, rng = root / "data" / "genome", np.random.default_rng(0)
    data.mkdir(parents=True)
    names = [f"chr{n}" for n in ("I", "II", "VII", "VIII", "IX", "XI")]
    write_fasta(data / "sacCer3.fa", {name: random_sequence(rng, 9000) for name in names})
    for number, name in enumerate(("Abf1.narrowPeak", "Reb1.bed")):
        starts = range(1500 + 100 * number, 7500, 1500)
        rows = [f"{chrom}\t{s}\t{s + 350}\n" for chrom in names for s in starts]
        (data / name).write_text("".join(rows))
    (data / "peaks.tsv").write_text("Abf1\tAbf1.narrowPeak\nReb1\tReb1.bed\n")
    (data / "exclude.bed").write_text("chrI\t0\t2000\n")
    for name in ("positives", "negatives", "sequences"):
        sequences = {f"s{i}": random_sequence(rng, 60) for i in range(60)}
        write_fasta(data / f"{name}.fa", sequences)
    rows = [f"s{i}\t{i % 2}\t{i // 2 % 2}\n" for i in range(60)]
    (data / "labels.tsv").write_text("name\tx\ty\n" + "".join(rows))
    return root


def run(command, folder):
    _, script, *line = shlex.split(command)
    line = [re.sub(r"(^|=)(data|results)/", rf"\1{folder}/\2/", word) for word in line]
    if "make_bundle" in script:
        return make(*line)
    return run_here(script, [*line, *SEARCH, "--device=cpu"])


@pytest.mark.parametrize("command", PAGE, ids=lambda command: command.split("=")[-1])
def test_a_command_of_the_page(command, folder):
    outcome = run(command, folder)
    assert outcome.code == 0, outcome.stderr


def test_the_readme_shows_the_first_command_of_the_page():
    assert PAGE[:1] == README
