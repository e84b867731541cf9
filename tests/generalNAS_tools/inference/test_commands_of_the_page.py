"""Every command of docs/using_a_network.md, on small files."""

import re
import shlex

import numpy as np
import pytest

from tests.data_generators.own_data import random_sequence, write_fasta
from tests.generalNAS_tools.inference.small_model import SEQ_SIZE, run, write_model
from tests.scripts.in_process import ROOT

pytest.importorskip("pysam")
PAGE = (ROOT / "docs" / "using_a_network.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the page names, small."""
    root, rng = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    data, chromosome = root / "data" / "genome", random_sequence(rng, 900)
    data.mkdir(parents=True)
    (root / "results" / "final").mkdir(parents=True)
    write_model(root / "results" / "final" / "arch_1.pth", targets=["Abf1", "Reb1", "Rap1"])
    write_fasta(data / "sequences.fa", {"s": random_sequence(rng, SEQ_SIZE)})
    write_fasta(data / "sacCer3.fa", {"chrI": chromosome})
    (data / "regions.bed").write_text("chrI\t200\t400\n")
    rows = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (data / "variants.vcf").write_text(f"{rows}chrI\t100\t.\t{chromosome[99]}\tN\t.\t.\t.\n")
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(command, folder):
    python, script, *line = shlex.split(command)
    line = [re.sub(r"=(data|results)/", rf"={folder}/\1/", word) for word in line]
    assert python == "python"
    outcome = run(script.removeprefix("generalNAS_tools/").removesuffix(".py"), *line)
    assert outcome.code == 0, outcome.stderr
    out = next(word.removeprefix("--out=") for word in line if word.startswith("--out="))
    assert out in outcome.stderr


def test_all_three_scripts_are_explained():
    scripts = {command.split()[1] for command in COMMANDS}
    assert {f"generalNAS_tools/{name}.py" for name in
            ("predict_sequences", "score_variants", "mutate_sequences")} == scripts  # fmt: skip
