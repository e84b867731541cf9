"""The scores that README and docs/benchmark.md state are those of the runs kept beside them."""

import csv
from pathlib import Path

import numpy as np

from generalNAS_tools.files.genotype_files import read_genotype

ROOT = Path(__file__).parents[1]
SEARCHES = {
    "genomeDARTS": "darts",
    "genomeP-DARTS": "pdarts",
    "genomeCWP-DARTS": "cwp_darts",
    "genomeDEP-DARTS": "dep_darts",
    "genomeOSP-NAS": "osp",
    "genomeBONAS": "bonas",
    "random search": "random",
    "Hyperband-NAS": "hyperband",
}
OTHERS = {
    "random architectures": "random_average",
    "one random architecture": "one_architecture",
    "DeepSEA": "DeepSEA",
    "DanQ": "DanQ",
}


def runs():
    """All runs, by their columns."""
    with (ROOT / "docs/benchmark/yeast/runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def measured(arm, column):
    """The scores of an arm's runs."""
    return [float(run[column]) for run in runs() if run["arm"] == arm]


def stated(page, header):
    """The first cell of every row of the table under a header, and its other cells."""
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = text.split(header, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first: others for first, *others in cells}


def rounded(score):
    return f"{score:.4f}".removeprefix("0")


def test_the_readme_states_what_the_searches_reached():
    rows = stated("README.md", "| algorithm |")
    assert rows.keys() == SEARCHES.keys()
    for name, (_, score) in rows.items():
        assert score == rounded(np.mean(measured(SEARCHES[name], "test_auprc"))), name


def test_the_page_states_what_every_arm_reached():
    rows = stated("docs/benchmark.md", "| arm |")
    arms = SEARCHES | OTHERS
    assert rows.keys() == arms.keys()
    for name, row in rows.items():
        auprc, auroc = (measured(arms[name], f"test_{score}") for score in ("auprc", "auroc"))
        spread = f"{rounded(min(auprc))}–{rounded(max(auprc))}"
        figures = [rounded(np.mean(auprc)), rounded(np.mean(auroc)), spread, str(len(auprc))]
        assert row == figures, name


def test_the_networks_of_the_runs_are_there():
    names = [run["genotype"] for run in runs() if run["genotype"]]
    for name in names:
        read_genotype(ROOT / "docs/benchmark/yeast" / name)
    there = (ROOT / "docs/benchmark/yeast/genotypes").iterdir()
    assert sorted(names) == sorted(f"genotypes/{path.name}" for path in there)
