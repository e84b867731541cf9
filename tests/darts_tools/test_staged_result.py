"""What a search in stages leaves behind: the chain, the choice and why, the course."""

import json
import logging

import numpy as np
import pytest
import torch

from darts_tools.alpha_history import AlphaHistory
from darts_tools.alphas import Alphas
from darts_tools.derivation import SKIP, count_skips
from darts_tools.limit_skips import MAX_SKIPS, limit_skips
from darts_tools.staged_result import write_staged_result
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.search_space.genotypes import parse_genotype
from tests.darts_tools.stage_cases import random_weights

DRAWN = ("draw_alphas", "draw_genotype", "draw_curves")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's directory, with pictures that only say what they were asked to draw."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    directory = RunDirectory(
        str(tmp_path), save="a", method="pdarts", config={}, device=torch.device("cpu")
    )
    directory.drawn = {}
    for name in DRAWN:
        monkeypatch.setattr(
            f"darts_tools.alpha_history.{name}",
            lambda *args, name=name, **options: directory.drawn.update({name: (args, options)}),
        )
    yield directory
    logging.basicConfig(handlers=handlers, level=level, force=True)


def skipping_chain(num_skips):
    """Genotypes of a search whose normal cell was derived with `num_skips` skips."""
    masks = full_masks()
    weights = random_weights(np.random.default_rng(0), masks)
    weights.normal[:] = 0.01 + 0.001 * np.arange(14)[:, None]
    chosen = [0, 1, 3, 4, 7, 8, 12, 13]  # the two highest states of every node
    weights.normal[chosen, 8] = 0.2
    weights.normal[chosen[:num_skips], SKIP] = 0.3 + 0.01 * np.arange(num_skips)
    chain = limit_skips(masks, weights)
    assert count_skips(chain[MAX_SKIPS]) == num_skips
    return chain


def write(run, chain, limit):
    course = AlphaHistory()
    alphas = Alphas(full_masks())
    for stage in (1, 1, 2):
        course.append(alphas)
        run.history.append({"stage": stage, "train_loss": 0.5})
    write_staged_result(chain, limit, run=run, history=course)
    return (run.files.path("log", "txt")).read_text()


@pytest.mark.parametrize(
    ("skips", "limit", "reason", "left"),
    [
        (1, 2, "derived with 1 skip connections; --max_skip_connects 2: kept as it is", 1),
        (2, 2, "kept as it is", 2),
        (6, 2, "derived with 6 skip connections; --max_skip_connects 2: cut to 2", 2),
        (6, 0, "cut to 0", 0),
        (6, 8, "kept as it is", 6),
    ],
)
def test_the_choice_and_its_reason(run, skips, limit, reason, left):
    chain = skipping_chain(skips)
    assert reason in write(run, chain, limit)
    chosen = read_genotype(run.files.path("pdarts_geno"))
    assert chosen == chain[limit]
    assert count_skips(chosen) == left


def test_the_whole_chain_is_written_beside_it(run):
    chain = skipping_chain(6)
    write(run, chain, 2)
    text = run.files.path("skip_chain", "json").read_text()
    read = {int(k): parse_genotype(v, source="chain") for k, v in json.loads(text).items()}
    assert read == chain
    assert sorted(read) == list(range(MAX_SKIPS + 1))
    assert [count_skips(read[limit]) for limit in range(MAX_SKIPS + 1)] == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        6,
        6,
    ]


def test_the_pictures_know_the_stages(run):
    chain = skipping_chain(3)
    write(run, chain, 2)
    assert set(run.drawn) == set(DRAWN)
    (weights,), options = run.drawn["draw_alphas"]
    assert {name: value.shape for name, value in weights.items()} == {
        "normal": (3, 14, 9), "reduce": (3, 14, 9), "rnn": (3, 36, 5),
    }  # fmt: skip
    assert options["stages"] == [1, 1, 2]
    assert options["path"].name == "alphas-a.png"
    assert run.drawn["draw_genotype"][0][0] == chain[2]
    np.testing.assert_array_equal(np.load(run.files.path("alphas_rnn")), weights["rnn"])
