"""The scores that README and docs/benchmark.md state are those of the runs kept beside them."""

import csv
from pathlib import Path

import numpy as np
import pytest

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
LONG = "genomeDARTS", "Hyperband-NAS", "random search", "random architectures", "DanQ"
PAGE = {
    "yeast": ("| arm |", SEARCHES | OTHERS),
    "yeast_1000": ("| arm, 1,000 bp |", {name: (SEARCHES | OTHERS)[name] for name in LONG}),
}
"""By comparison: the header of its table in docs/benchmark.md, and its arms."""


def runs(comparison):
    """All runs, by their columns."""
    with (ROOT / "docs/benchmark" / comparison / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def measured(arm, column, comparison="yeast"):
    """The scores of an arm's finished runs."""
    done = [run for run in runs(comparison) if run["arm"] == arm and run["status"] == "done"]
    return [float(run[column]) for run in done]


def stated(page, header):
    """The first cell of every row of the table under a header, and its other cells."""
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = text.split(header, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first: others for first, *others in cells}


def rounded(score):
    return f"{score:.4f}".removeprefix("0")


def with_spread(arm):
    scores = measured(arm, "test_auprc")
    return f"{rounded(np.mean(scores))} ± {rounded(np.std(scores, ddof=1))}"


def test_the_readme_states_what_the_searches_reached():
    rows = stated("README.md", "| algorithm |")
    assert rows.keys() == SEARCHES.keys()
    for name, (_, score) in rows.items():
        assert score == with_spread(SEARCHES[name]), name
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    others = with_spread("random_average"), with_spread("DanQ")
    assert "nobody searched reach {} there, DanQ {}.".format(*others) in text


@pytest.mark.parametrize("comparison", PAGE)
def test_the_page_states_what_every_arm_reached(comparison):
    header, arms = PAGE[comparison]
    rows = stated("docs/benchmark.md", header)
    assert rows.keys() == arms.keys()
    for name, row in rows.items():
        auprc, auroc = (
            measured(arms[name], f"test_{score}", comparison) for score in ("auprc", "auroc")
        )
        spread = f"{rounded(min(auprc))}–{rounded(max(auprc))}"
        figures = [rounded(np.mean(auprc)), rounded(np.mean(auroc)), spread, str(len(auprc))]
        assert row == figures, name


@pytest.mark.parametrize("comparison", PAGE)
def test_the_networks_of_the_runs_are_there(comparison):
    folder = ROOT / "docs/benchmark" / comparison
    names = [run["genotype"] for run in runs(comparison) if run["genotype"]]
    for name in names:
        read_genotype(folder / name)
    there = (folder / "genotypes").iterdir()
    assert sorted(names) == sorted(f"genotypes/{path.name}" for path in there)


@pytest.mark.parametrize("comparison", PAGE)
@pytest.mark.parametrize("arm", ["random_average", "DanQ", "hyperband"])
def test_the_readme_states_what_searches_are_measured_by(arm, comparison):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rounded(np.mean(measured(arm, "test_auprc", comparison))) in readme
