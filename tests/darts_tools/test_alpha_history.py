from types import SimpleNamespace

import numpy as np
import pytest
import torch

import darts_tools.alpha_history
from darts_tools.alpha_history import AlphaHistory
from darts_tools.alphas import Alphas
from generalNAS_tools.files.checkpoints import load_weights, save_weights
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.search_space.edge_masks import full_masks
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE


def course_of(seeds, course=None):
    course = course or AlphaHistory()
    expected = []
    for seed in seeds:
        alphas = Alphas(full_masks(), generator=torch.Generator().manual_seed(seed))
        course.append(alphas)
        expected.append(alphas.edge_weights())
    return course, expected


@pytest.fixture
def run(tmp_path):
    files = RunFiles(str(tmp_path), save="a", method="darts")
    yield SimpleNamespace(files=files, history=[])
    files._lock.close()


def test_a_course_survives_a_checkpoint_and_is_written(tmp_path, run, monkeypatch):
    drawn = {}
    for name in ("draw_alphas", "draw_curves", "draw_genotype"):
        monkeypatch.setattr(darts_tools.alpha_history, name, name)
    run.draw = lambda name, picture, *_, **__: drawn.update({picture: name})
    first, before = course_of([1, 2])
    save_weights(tmp_path / "c.pt", first.state_dict())
    second = AlphaHistory()
    second.load_state_dict(load_weights(tmp_path / "c.pt"))
    _, after = course_of([3], second)
    second.draw(run, EXAMPLE)
    for name, shape in (("normal", (3, 14, 9)), ("reduce", (3, 14, 9)), ("rnn", (3, 36, 5))):
        written = np.load(tmp_path / f"alphas_{name}-a.npy", allow_pickle=False)
        assert written.shape == shape
        expected = np.stack([getattr(weights, name) for weights in before + after])
        np.testing.assert_array_equal(written, expected)
    assert drawn == {
        "draw_alphas": "alphas",
        "draw_curves": "curves",
        "draw_genotype": "genotype",
    }


def test_what_is_appended_is_a_copy():
    alphas = Alphas(full_masks())
    course = AlphaHistory()
    course.append(alphas)
    before = course.state_dict()["rnn"][0].clone()
    with torch.no_grad():
        alphas.get_parameter("rnn").add_(torch.arange(5.0))
    course.append(alphas)
    assert torch.equal(course.state_dict()["rnn"][0], before)
    assert not torch.equal(course.state_dict()["rnn"][1], before)
