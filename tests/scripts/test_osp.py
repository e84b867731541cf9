import numpy as np
import pytest

import randomSearch_and_Hyperband_Tools.osp_stage as osp_stage
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.search_space.edge_masks import CNN_EDGES, RHN_EDGES, genotype_from_masks
from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES, RHN_PRIMITIVES
from randomSearch_and_Hyperband_Tools.osp_masks import initial_masks
from tests.scripts.runs import refusal, run_here
from tests.scripts.sampling_cases import FLAGS, OSP, seed_command, table


@pytest.fixture(scope="module")
def finished(toy):
    folder = toy.folder / "osp"
    assert run_here(OSP, toy.sampled(folder, **FLAGS[OSP]), pictures=True).code == 0
    return folder


def test_epochs_by_round(finished):
    assert [row["round"] for row in table(finished, "history")] == ["0", "0", "1", "2", "3"]


def test_the_history_leads_from_the_start_to_the_genotype(finished):
    masks = initial_masks(np.random.default_rng(0), 17)
    for row in table(finished, "removals"):
        mask = getattr(masks, row["cell"])
        edges = RHN_EDGES if row["cell"] == "rnn" else CNN_EDGES
        names = RHN_PRIMITIVES if row["cell"] == "rnn" else CNN_PRIMITIVES
        edge, primitive = int(row["edge"]), names.index(row["primitive"])
        assert edges[edge] == (int(row["node"]), int(row["state"]))
        assert mask[edge, primitive]
        mask[edge, primitive] = row["removed"] != "True"
    genotype = read_genotype(finished / "osp_geno-a.npy")
    assert genotype_from_masks(masks) == genotype


def test_the_worst_removal_of_a_round_is_taken_back(finished):
    rows = table(finished, "removals")
    for number in ("1", "2", "3"):
        of_round = [row for row in rows if row["round"] == number]
        worst = max(float(row["valid_loss"]) for row in of_round)
        for row in of_round:
            assert (row["removed"] == "False") == (float(row["valid_loss"]) == worst)
    assert all(row["removed"] == "True" for row in rows if row["round"] == "4")


def test_pictures(finished):
    for name in ("removals", "curves", "genotype"):
        assert (finished / f"{name}-a.png").read_bytes().startswith(b"\x89PNG")


def test_one_supernet_a_round_and_ever_smaller(toy, tmp_path, monkeypatch):
    """No candidate builds or copies a network: there is one supernet per round, one at a time."""
    built = []

    class Counted(Supernet):
        def __init__(self, masks, options):
            super().__init__(masks, options)
            sizes = sum(parameter.numel() for parameter in self.parameters())
            built.append(([int(mask.sum()) for mask in masks], sizes))

    monkeypatch.setattr(osp_stage, "Supernet", Counted)
    assert run_here(OSP, toy.sampled(tmp_path, **FLAGS[OSP])).code == 0
    assert [operations for operations, _ in built] == [[17] * 3, [14] * 3, [11] * 3, [9] * 3]
    sizes = [size for _, size in built]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize("num_init_archs", [8, 9])
def test_nothing_to_remove_in_rounds(num_init_archs, toy, tmp_path):
    flags = FLAGS[OSP] | {"num_init_archs": num_init_archs}
    assert run_here(OSP, toy.sampled(tmp_path, **flags)).code == 0
    assert len(table(tmp_path, "removals") if num_init_archs > 8 else []) == 3 * (
        num_init_archs - 8
    )
    read_genotype(tmp_path / "osp_geno-a.npy")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_init_archs": 7}, "--num_init_archs 7: expected 8..112"),
        ({"num_init_archs": 113}, "--num_init_archs 113: expected 8..112"),
        ({"num_ops": 1}, "--num_ops 1: expected at least 2, one of which stays"),
        ({"budget": 0}, "--budget: '0' is not a whole number ≥ 1"),
    ],
)
def test_impossible_searches_are_one_line(flags, message, toy, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[OSP] | flags)
    assert message in refusal(run_here(OSP, line))


def test_the_documented_command(toy, tmp_path, monkeypatch):
    """All 17 rounds with 108 operations at the start; one epoch each."""
    monkeypatch.chdir(tmp_path)
    line = seed_command(OSP, toy, epochs=4, budget=1, pretrain_epochs=1)
    assert run_here(OSP, line).code == 0
    folder = tmp_path / "results/osp_search"
    read_genotype(folder / "osp_geno-osp_1.npy")
    assert table(folder, "history", "osp_1")[-1]["round"] == "17"
    removed = [row for row in table(folder, "removals", "osp_1") if row["removed"] == "True"]
    assert len(removed) == 3 * 100
