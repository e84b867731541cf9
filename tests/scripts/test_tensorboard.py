"""--tensorboard: a script's figures and pictures, each epoch once, whatever happened."""

import numpy as np
import pytest

import generalNAS_tools.runs.run_directory
from tests.generalNAS_tools.runs.board_reading import board, scalars
from tests.scripts.runs import FINAL, SEARCH, Toy, run_here
from tests.scripts.sampling_cases import FLAGS, HYPERBAND, OSP, table

BASELINE = "baseline_models/train_baseline.py"
BONAS = "train_genomicBONAS.py"
SMALL_BONAS = {"epochs": 2, "train_supernet_epochs": 1, "iterations": 1, "bo_sample_num": 2}
SMALL_BONAS |= {"generate_num": 3, "gcn_epochs": 1}
SEARCHED = {"genotype", "curves"}


def line_of(script, toy, folder):
    if script == FINAL:
        return toy.final(folder, epochs=2)
    if script == BASELINE:
        toy = Toy.make(folder / "toy", seq_size=40)
        skip = ("--init_channels", "--layers", "--seq_size")
        line = [w for w in toy.sampled(folder, epochs=2) if not w.startswith(skip)]
        return [*line, "--model=DanQ"]
    if script in FLAGS:
        return toy.sampled(folder, **FLAGS[script])
    if script == BONAS:
        return toy.sampled(folder, **SMALL_BONAS)
    return toy.search(folder)


@pytest.mark.parametrize(
    ("script", "pictures"),
    [
        (SEARCH, SEARCHED | {"alphas"}),
        (OSP, SEARCHED | {"removals"}),
        (BONAS, SEARCHED),
        (HYPERBAND, {"genotype", "scores", "halving"}),
        (FINAL, {"curves"}),
        (BASELINE, {"curves"}),
    ],
)
def test_a_script_writes_its_history_and_pictures(script, pictures, toy, tmp_path):
    line = [*line_of(script, toy, tmp_path), "--tensorboard"]
    ended = run_here(script, line, pictures=True)
    assert ended.code == 0, ended.stderr
    assert "--tensorboard: " not in ended.stderr
    found = scalars(tmp_path)
    rows = table(tmp_path, "history")
    for name in rows[0].keys() - {"seconds", "phase"}:
        expected = [(i, float(row[name])) for i, row in enumerate(rows, 1) if row[name]]
        assert [step for step, _ in found[name]] == [step for step, _ in expected]
        np.testing.assert_allclose([v for _, v in found[name]], [v for _, v in expected], 1e-6)
    rates = [name for name in found if name.startswith("learning_rate/")]
    assert all(len(found[name]) == len(rows) for name in rates)
    assert len(rates) == {BASELINE: 1}.get(script, 3 if script == SEARCH else 2)
    assert set(board(tmp_path).Tags()["images"]) == pictures


class KilledError(BaseException):
    """What kill -9 leaves: nothing after it is done."""


@pytest.mark.parametrize("script", [SEARCH, HYPERBAND])
def test_a_killed_search_has_the_same_log(script, toy, tmp_path, monkeypatch):
    calm, hurt = tmp_path / "calm", tmp_path / "hurt"
    assert run_here(script, [*line_of(script, toy, calm), "--tensorboard"]).code == 0
    save, count = generalNAS_tools.runs.run_directory.save_weights, iter(range(100))

    def killed(path, state):
        number = next(count)
        if number == 1:
            raise KilledError
        save(path, state)
        if number == 3:
            raise KilledError

    line = [*line_of(script, toy, hurt), "--tensorboard"]
    kills = 0
    with monkeypatch.context() as patch:
        patch.setattr(generalNAS_tools.runs.run_directory, "save_weights", killed)
        while True:
            try:
                assert run_here(script, line).code == 0
                break
            except KilledError:
                kills += 1
    assert kills == 2
    assert scalars(hurt) == scalars(calm)
